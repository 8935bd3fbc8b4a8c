"""Vocabulary of the program that the on-chain executor runs in one transaction.

Everything here is a value; ``keeper.evm.program_encoder`` turns a ``Program`` into calldata.
"""

from enum import Enum
from typing import Final

from msgspec import Struct

from keeper.core.units import Address, address_bytes
from keeper.evm.hashing import keccak256

OWNER_SLOT: Final = 0
RECIPIENT_SLOT: Final = 2
"""Storage slots to override when rehearsing with an executor that is not deployed."""

_OPERATORS_SLOT: Final = 1

UNISWAP_V2_FEE: Final = 3_000
"""Millionths: Uniswap V2's 997/1000."""

_WORD: Final = 32
_SELECTOR_SIZE: Final = 4
_MAX_PARTS: Final = 255


def operator_slot(operator: Address) -> int:
    """Return the storage slot whose word, when it is not zero, lets an account run programs."""
    key = address_bytes(operator).rjust(_WORD, b"\0") + _OPERATORS_SLOT.to_bytes(_WORD)
    return int.from_bytes(keccak256(key))


class Known(Enum):
    """Numbers that the executor finds out itself, by the tag that names them."""

    OWED = 0x21
    """What the enclosing loan, swap or call is still owed: its due less the balance held."""
    EXECUTOR = 0x22
    """The executor's own address."""
    NATIVE = 0x24
    """All the native coin that the executor holds, in wei."""


class BalanceOf(Struct, frozen=True, kw_only=True):
    """All that the executor holds of a token when the operand is read."""

    token: Address


Operand = int | Address | BalanceOf | Known
Part = Operand | bytes
"""A piece of calldata: an operand fills one word, bytes stand as they are."""


class Approval(Struct, frozen=True, kw_only=True):
    """An exact allowance for one call; what the call leaves of it is revoked."""

    token: Address
    spender: Address
    amount: Operand


class Call(Struct, frozen=True, kw_only=True):
    """A call of any contract: the liquidation itself, an unwinding, an aggregator."""

    target: Address
    selector: bytes
    parts: tuple[Part, ...]
    approval: Approval | None = None
    value: Operand = 0
    """Wei of native coin to send along."""
    optional: bool = False
    """Go on with the next step when the call reverts: one of a batch that may be too late."""


class Swap(Struct, frozen=True, kw_only=True):
    """A swap against a Uniswap V3 pool; skipped, with its inner steps, when ``amount`` is zero."""

    pool: Address
    token_in: Address
    token_out: Address
    amount: Operand
    """Of ``token_in`` to sell, or of ``token_out`` to buy if ``limit`` is given."""
    limit: Operand | None = None
    """Most of ``token_in`` to pay for an exact output. None sells exactly ``amount``."""
    inner: "tuple[Step, ...]" = ()
    """Run after ``token_out`` is received, before ``token_in`` is paid."""


class PairSwap(Struct, frozen=True, kw_only=True):
    """A swap against a constant-product pair: Uniswap V2 and its forks.

    The price is worked out on chain from the reserves at that moment. Skipped, with its inner
    steps, when it would pay or buy nothing. Tokens that take a fee on transfer are not for it.
    """

    pair: Address
    token_in: Address
    token_out: Address
    amount: Operand
    """Of ``token_in`` to sell, or of ``token_out`` to buy if ``limit`` is given."""
    limit: Operand | None = None
    """Most of ``token_in`` to pay for an exact output. None sells exactly ``amount``."""
    fee: int = UNISWAP_V2_FEE
    """Millionths of the amount in that the pair keeps; forks differ."""
    inner: "tuple[Step, ...]" = ()
    """Run when the price is known, before it is paid; what they are still owed is that price."""


class FlashKind(Enum):
    """Whose interface a lender has, by the number that the contract knows it by."""

    SIMPLE = 0
    """Aave V3's ``flashLoanSimple``; the premium is the pool's own."""
    POOL = 1
    """Uniswap V3's ``flash``: a pool's swap fee, rounded up. The pool is locked until the loan is
    repaid, so no inner step may swap in it."""
    VAULT = 2
    """Balancer V2's ``flashLoan``: the fee that its collector of fees names, mostly none."""
    ERC_3156 = 3
    """``flashLoan`` by ERC-3156: flash mints, and the ``Inventory`` of the operator's own tokens,
    which asks nothing on top."""


class Flash(Struct, frozen=True, kw_only=True):
    """A loan of ``asset``, repaid with what the lender asks on top when the inner steps end."""

    lender: Address
    asset: Address
    amount: Operand
    inner: "tuple[Step, ...]"
    kind: FlashKind = FlashKind.SIMPLE


class PayLater(Struct, frozen=True, kw_only=True):
    """A call that hands over first and calls back for its pay: a loan, or a liquidation.

    The last argument of the function is ``bytes`` for the callback, which the executor fills in.
    """

    target: Address
    token: Address
    """What is due."""
    limit: Operand
    """Most of ``token`` to pay."""
    selector: bytes
    parts: tuple[Part, ...]
    """The words of all arguments; that of the last one is its offset."""
    inner: "tuple[Step, ...]"
    """Run when the target has handed over, before it takes its pay."""
    optional: bool = False
    """Go on with the next step when the call reverts, the inner steps undone with it."""


Step = Call | Swap | PairSwap | Flash | PayLater


class Tip(Struct, frozen=True, kw_only=True):
    """Wei for the block's proposer."""

    amount: int
    unwrap: Address | None
    """The wrapped native token to take it from; None takes it from the value sent along."""


class Program(Struct, frozen=True, kw_only=True):
    """One transaction of the executor."""

    deadline: int
    """Unix seconds of the last block that may run it."""
    profit_token: Address
    min_profit: int
    """Raw units by which the recipient's balance of ``profit_token`` must grow, after the tip."""
    steps: tuple[Step, ...]
    tip: Tip | None = None
    sweep: tuple[Address, ...] = ()
    """Tokens that the steps may leave over but do not name as tokens."""


def call_parts(data: bytes) -> tuple[bytes, tuple[Part, ...]]:
    """Split ABI-encoded calldata into the selector and the parts of a ``Call``.

    Whole words become numbers, which pack better; data of another length stays as it is.
    """
    if len(data) < _SELECTOR_SIZE:
        msg = f"expected calldata of at least {_SELECTOR_SIZE} bytes, found {len(data)}"
        raise ValueError(msg)
    selector, body = data[:_SELECTOR_SIZE], data[_SELECTOR_SIZE:]
    if not body:
        return selector, ()
    if len(body) % _WORD or len(body) // _WORD > _MAX_PARTS:
        return selector, (body,)
    words = (body[i : i + _WORD] for i in range(0, len(body), _WORD))
    return selector, tuple(int.from_bytes(word) for word in words)

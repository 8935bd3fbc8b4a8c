"""Encoder of the packed program that the on-chain executor runs.

The format is the one that ``contracts/src/Liquidator.sol`` and ``Program.sol`` describe. Which
tokens are swept at the end follows from the steps, the profit token first.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.units import MAX_UINT256, Address, address_bytes
from keeper.evm.program import (
    Approval,
    BalanceOf,
    Call,
    Flash,
    Known,
    Operand,
    PairSwap,
    Part,
    PayLater,
    Program,
    Step,
    Swap,
    Tip,
)

EXECUTE_SELECTOR: Final = bytes.fromhex("61461954")
"""Of ``execute()``; the program follows it unpadded."""

_SELECTOR_SIZE: Final = 4
_REFERABLE: Final = 64
"""Only the first so many entries of the address table can be named by an operand."""
_MAX_ENTRIES: Final = 255
_MAX_UINT8: Final = 2**8 - 1
_MAX_UINT16: Final = 2**16 - 1
_MAX_UINT40: Final = 2**40 - 1
_FROM_VALUE: Final = 255
_ENTRY_TAG: Final = 0x40
_BALANCE_TAG: Final = 0x80
_RAW_TAG: Final = 0x23


def encode(program: Program) -> bytes:
    """Return the transaction data that makes the executor run ``program``.

    Raises ValueError when a number or a count does not fit the format.
    """
    tokens = tuple(dict.fromkeys(_tokens(program)))
    table = tuple(dict.fromkeys((*tokens, *_places(program.steps))))
    if len(tokens) > _REFERABLE or len(table) > _MAX_ENTRIES:
        msg = (
            f"expected at most {_REFERABLE} tokens and {_MAX_ENTRIES} addresses, "
            f"found {len(tokens)} and {len(table)}"
        )
        raise ValueError(msg)
    writer = _Writer(index={entry: i for i, entry in enumerate(table)})
    return b"".join(
        (
            EXECUTE_SELECTOR,
            _fixed(program.deadline, _MAX_UINT40),
            _fixed(len(tokens), _MAX_UINT8),
            _fixed(len(table), _MAX_UINT8),
            *(address_bytes(entry) for entry in table),
            writer.operand(program.min_profit),
            writer.tip(program.tip),
            writer.steps(program.steps),
        )
    )


def _tokens(program: Program) -> Iterator[Address]:
    yield program.profit_token
    if program.tip is not None and program.tip.unwrap is not None:
        yield program.tip.unwrap
    yield from _tokens_of(program.steps)
    yield from program.sweep


def _tokens_of(steps: Sequence[Step]) -> Iterator[Address]:
    for step in steps:
        match step:
            case Call(approval=approval):
                if approval is not None:
                    yield approval.token
                    yield from _measured(approval.amount)
                yield from _measured(step.value, *step.parts)
            case Swap() | PairSwap():
                yield from (step.token_in, step.token_out)
                yield from _measured(step.amount, step.limit)
                yield from _tokens_of(step.inner)
            case Flash():
                yield step.asset
                yield from _measured(step.amount)
                yield from _tokens_of(step.inner)
            case PayLater():
                yield step.token
                yield from _measured(step.limit, *step.parts)
                yield from _tokens_of(step.inner)


def _measured(*parts: Part | None) -> Iterator[Address]:
    """Tokens whose balance is an operand."""
    return (part.token for part in parts if isinstance(part, BalanceOf))


def _places(steps: Sequence[Step]) -> Iterator[Address]:
    """Addresses that steps name and that are not tokens."""
    for step in steps:
        match step:
            case Call():
                yield step.target
                if step.approval is not None:
                    yield step.approval.spender
            case Swap():
                yield step.pool
                yield from _places(step.inner)
            case PairSwap():
                yield step.pair
                yield from _places(step.inner)
            case Flash():
                yield step.lender
                yield from _places(step.inner)
            case PayLater():
                yield step.target
                yield from _places(step.inner)


def _fixed(number: int, maximum: int) -> bytes:
    if not 0 <= number <= maximum:
        msg = f"expected a number from 0 to {maximum}, found {number}"
        raise ValueError(msg)
    return number.to_bytes((maximum.bit_length() + 7) // 8)


def _swap_flags(swap: Swap | PairSwap) -> int:
    if swap.token_in == swap.token_out:
        msg = f"expected a swap between two tokens, found {swap.token_in} twice"
        raise ValueError(msg)
    zero_for_one = int(swap.token_in, 16) < int(swap.token_out, 16)
    return zero_for_one | (swap.limit is not None) << 1


class _Writer(Struct, frozen=True, kw_only=True):
    """Writes operands and steps against one address table."""

    index: dict[Address, int]

    def operand(self, operand: Operand) -> bytes:
        match operand:
            case Known():
                return bytes((operand.value,))
            case BalanceOf(token=token):
                return bytes((_BALANCE_TAG | self.referable(token),))
            case int():
                return self.number(operand)
            case _:
                return self.number(int(operand, 16))

    def number(self, number: int) -> bytes:
        if not 0 <= number <= MAX_UINT256:
            msg = f"expected a number from 0 to 2**256 - 1, found {number}"
            raise ValueError(msg)
        place = self.index.get(Address(f"0x{number:040x}"), _REFERABLE)
        if place < _REFERABLE:
            return bytes((_ENTRY_TAG | place,))
        size = (number.bit_length() + 7) // 8
        return bytes((size,)) + number.to_bytes(size)

    def referable(self, token: Address) -> int:
        place = self.index.get(token, _REFERABLE)
        if place >= _REFERABLE:
            msg = f"expected {token} among the tokens of the program, found it missing"
            raise ValueError(msg)
        return place

    def entry(self, address: Address) -> bytes:
        return bytes((self.index[address],))

    def tip(self, tip: Tip | None) -> bytes:
        if tip is None:
            return bytes((0, _FROM_VALUE))
        source = _FROM_VALUE if tip.unwrap is None else self.index[tip.unwrap]
        return self.operand(tip.amount) + bytes((source,))

    def steps(self, steps: Sequence[Step]) -> bytes:
        return b"".join(self.step(step) for step in steps)

    def step(self, step: Step) -> bytes:
        match step:
            case Call():
                return self.call(step)
            case Swap():
                return self.swap(step)
            case PairSwap():
                return self.pair_swap(step)
            case Flash():
                head = bytes((0x03 | step.kind.value << 4,)) + self.entry(step.lender)
                head += self.entry(step.asset)
                return head + self.operand(step.amount) + self.inner(step.inner)
            case PayLater():
                head = (
                    bytes((0x04 | step.optional << 6,))
                    + self.entry(step.target)
                    + self.entry(step.token)
                )
                written = self.calldata(step.selector, step.parts)
                return head + self.operand(step.limit) + written + self.inner(step.inner)

    def call(self, call: Call) -> bytes:
        sends = call.value != 0
        flags = (call.approval is not None) | sends << 1 | call.optional << 2
        return b"".join(
            (
                bytes((0x01 | flags << 4,)),
                self.entry(call.target),
                b"" if call.approval is None else self.approval(call.approval),
                self.operand(call.value) if sends else b"",
                self.calldata(call.selector, call.parts),
            )
        )

    def calldata(self, selector: bytes, parts: Sequence[Part]) -> bytes:
        if len(selector) != _SELECTOR_SIZE:
            msg = f"expected a selector of {_SELECTOR_SIZE} bytes, found {len(selector)}"
            raise ValueError(msg)
        count = _fixed(len(parts), _MAX_UINT8)
        return b"".join((selector, count, *(self.part(part) for part in parts)))

    def approval(self, approval: Approval) -> bytes:
        places = self.entry(approval.token) + self.entry(approval.spender)
        return places + self.operand(approval.amount)

    def part(self, part: Part) -> bytes:
        if isinstance(part, bytes):
            return bytes((_RAW_TAG,)) + _fixed(len(part), _MAX_UINT16) + part
        return self.operand(part)

    def swap(self, swap: Swap) -> bytes:
        return b"".join(
            (
                bytes((0x02 | _swap_flags(swap) << 4,)),
                self.entry(swap.pool),
                self.entry(swap.token_in),
                self.operand(swap.amount),
                b"" if swap.limit is None else self.operand(swap.limit),
                self.inner(swap.inner),
            )
        )

    def pair_swap(self, swap: PairSwap) -> bytes:
        return b"".join(
            (
                bytes((0x05 | _swap_flags(swap) << 4,)),
                self.entry(swap.pair),
                self.entry(swap.token_in),
                _fixed(swap.fee, _MAX_UINT16),
                self.operand(swap.amount),
                b"" if swap.limit is None else self.operand(swap.limit),
                self.inner(swap.inner),
            )
        )

    def inner(self, steps: Sequence[Step]) -> bytes:
        written = self.steps(steps)
        return _fixed(len(written), _MAX_UINT16) + written

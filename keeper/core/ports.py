"""What rooms ask of each other. Rooms import this module, never a sibling."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, TypeVar

from keeper.core.chain import (
    BlockRef,
    Call,
    CallResult,
    Fees,
    Log,
    LogFilter,
    Receipt,
    Simulated,
    StateOverride,
    Transaction,
)
from keeper.core.lending import (
    AccountRef,
    AssetValue,
    BaseUnit,
    Feed,
    Health,
    Legs,
    Liquidation,
    Option,
    Price,
    ProtocolCall,
    Rejection,
    SeizeQuote,
    Touched,
)
from keeper.core.log_columns import LogColumns
from keeper.core.parity import Sides
from keeper.core.plan import Funding, Intent, Outcome, Plan, Settled, Submission
from keeper.core.standing import StandingRow, Tally
from keeper.core.units import Address, Hash32

Prices = Mapping[str, Price]
"""Feed id to price, in the protocol's own scale."""


class Reader(Protocol):
    """Reads of a chain. Every read is pinned to the block it names.

    Raises TransientError when the node cannot answer, StaleError when it no longer (or not yet)
    knows the block.
    """

    async def head(self) -> BlockRef:
        """Return the newest block."""
        ...

    async def block(self, number: int) -> BlockRef:
        """Return the canonical block at ``number``."""
        ...

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        """Return the result of each call at ``block``; one bad call never fails the others."""
        ...

    async def logs_at(self, wanted: LogFilter, block: BlockRef) -> list[Log]:
        """Return the logs of one block, by its hash, in order."""
        ...

    async def logs_between(self, wanted: LogFilter, first: int, last: int) -> list[Log]:
        """Return the logs of a range of blocks, both ends included, in order."""
        ...

    async def log_columns(
        self,
        wanted: LogFilter,
        first: int,
        last: int,
        progress: Callable[[int, int, int], None] | None = None,
    ) -> LogColumns:
        """Return the logs of a range of blocks as columns: for very many of them.

        ``progress`` is told the last block done, the last wanted, and the logs found so far.
        """
        ...

    async def code(self, address: Address, block: BlockRef) -> bytes:
        """Return the runtime code at an address, empty when there is none."""
        ...

    async def balance(self, address: Address, block: BlockRef) -> int:
        """Return a native balance in wei."""
        ...

    async def storage(self, address: Address, slot: int, block: BlockRef) -> int:
        """Return one storage word."""
        ...

    async def storage_many(
        self, slots: Sequence[tuple[Address, int]], block: BlockRef
    ) -> list[int]:
        """Return the storage word at each address and slot, in order."""
        ...


class Simulator(Protocol):
    """Runs transactions against the state after a block, without sending them."""

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        """Run the transactions in order in one block on top of ``base``."""
        ...


class Wire(Protocol):
    """The node's side of sending: transactions out, receipts back."""

    async def send_raw(self, raw: bytes) -> Hash32:
        """Send a signed transaction once; never retried here. Raises RefusedError."""
        ...

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        """Return the receipt, or None while the transaction is not in a canonical block."""
        ...

    async def knows(self, tx_hash: Hash32) -> bool:
        """Return whether the node holds the transaction, pending or included."""
        ...

    async def nonce(self, sender: Address, *, pending: bool) -> int:
        """Return the next nonce of an address, with or without its pending transactions."""
        ...

    async def chain_id(self) -> int:
        """Return the chain id that the node reports now."""
        ...


M = TypeVar("M")
P = TypeVar("P")


class ProtocolAdapter(Protocol[M, P]):
    """A lending protocol, as one deployment on one chain.

    ``M`` is the adapter's market state and ``P`` its position of an account; rooms hand them
    around unopened. Reads are the ``async`` methods; everything else is pure.
    """

    @property
    def protocol(self) -> str:
        """The protocol family, as in the name of its YAML: ``aave_v3``."""
        ...

    @property
    def deployment(self) -> str:
        """The deployment: ``aave_v3.ethereum``."""
        ...

    @property
    def start_block(self) -> int:
        """The block of the deployment's first log."""
        ...

    async def read_market(
        self, reader: Reader, block: BlockRef, previous: M | None, touched: Touched | None
    ) -> M:
        """Read the market at ``block``: whole, or only what was touched since ``previous``.

        Raises ConfigError when the deployment is not what the configuration says, or of a
        revision whose rules are not known.
        """
        ...

    async def read_positions(
        self, reader: Reader, block: BlockRef, market: M, refs: Sequence[AccountRef]
    ) -> dict[AccountRef, P]:
        """Read positions at ``block``. Every ref is in the answer, empty positions included."""
        ...

    def discovery_filter(self, market: M) -> LogFilter:
        """Return the logs that name every account that ever borrowed: no more than those."""
        ...

    def refs_of(self, market: M, account: Address) -> tuple[AccountRef, ...]:
        """Return every place in the market where an address may have a position."""
        ...

    def log_filter(self, market: M) -> LogFilter:
        """Return which logs change accounts or the market."""
        ...

    def touched(self, market: M, logs: Sequence[Log]) -> Touched:
        """Return the accounts and parts of the market that the logs changed."""
        ...

    def has_debt(self, market: M, position: P) -> bool:
        """Return whether the position owes anything."""
        ...

    def feeds(self, market: M) -> tuple[Feed, ...]:
        """Return every price that the market reads."""
        ...

    def feeds_of(self, market: M, position: P) -> frozenset[str]:
        """Return the ids of the feeds that the account's health depends on."""
        ...

    def at(self, market: M, *, block: int, timestamp: int, prices: Prices) -> M:
        """Return the market as of a block: interest accrued to it, and at ``prices``.

        ``block`` is its number and ``timestamp`` its unix seconds: protocols accrue by either.
        """
        ...

    def assess(self, view: M, position: P) -> Health:
        """Return the account's health by the protocol's own arithmetic.

        Raises StaleError when a price that it needs is missing.
        """
        ...

    async def audit(
        self, reader: Reader, block: BlockRef, view: M, positions: Mapping[AccountRef, P]
    ) -> Mapping[AccountRef, Sides]:
        """Return both sides of each account: what ``view`` has, what the chain says at ``block``.

        ``view`` is of that block's number, timestamp and prices. The chain's side should come
        another way than ``read_positions``, best from the protocol's own reckoning. An account
        that cannot be judged, for want of a price, is left out.
        """
        ...

    def legs(self, view: M, position: P) -> Legs:
        """Return the account's collaterals and debts in amounts and prices."""
        ...

    def options(self, view: M, position: P) -> tuple[Option, ...]:
        """Return every collateral and debt pair that may be liquidated now."""
        ...

    def seize(self, view: M, position: P, option: Option, repay: int) -> SeizeQuote:
        """Return what repaying ``repay`` raw units would take and give.

        Raises RefusedError, with the protocol's reason, when the protocol would revert.
        """
        ...

    def calls(
        self, view: M, ref: AccountRef, option: Option, quote: SeizeQuote, executor: Address
    ) -> tuple[ProtocolCall, ...]:
        """Return the executor's calls that liquidate and end with the collateral in hand."""
        ...

    def decode(self, market: M, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
        """Return the liquidations in a transaction's logs."""
        ...

    def base_unit(self, market: M, ref: AccountRef) -> BaseUnit:
        """Return what the values of an account's health are counted in."""
        ...

    def asset_values(self, view: M, market: str) -> Mapping[Address, AssetValue]:
        """Return the price of every asset of a market (``AccountRef.market``) in one unit.

        The unit may differ from market to market, and is fine enough that rounding a price to it
        does not matter. Raises StaleError when the market has no price.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One pool to swap through, in one direction."""

    venue: str
    pool: Address
    token_in: Address
    token_out: Address


Path = tuple[Hop, ...]
"""Pools to swap through one after the other; each hop starts with the token the last one gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapQuote:
    """What swapping along a path moves, to the raw unit."""

    path: Path
    amounts: tuple[int, ...]
    """What goes into the first hop, then what comes out of each."""
    moved: tuple[object, ...]
    """Where each pool is left, for the book that quoted it; unopened by others."""

    @property
    def amount_in(self) -> int:
        """Raw units of the first token."""
        return self.amounts[0]

    @property
    def amount_out(self) -> int:
        """Raw units of the last token."""
        return self.amounts[-1]


class SwapBook(Protocol):
    """The pools of a venue at one block, or after swaps already counted on. Immutable, pure."""

    def paths(self, token_in: Address, token_out: Address) -> tuple[Path, ...]:
        """Return every path that the book knows between two tokens."""
        ...

    def exact_in(self, path: Path, amount_in: int) -> SwapQuote | None:
        """Return what selling ``amount_in`` gives, None when the pools' known range ends."""
        ...

    def exact_out(self, path: Path, amount_out: int) -> SwapQuote | None:
        """Return what buying ``amount_out`` takes, None when the pools' known range ends."""
        ...

    def after(self, quote: SwapQuote) -> "SwapBook":
        """Return the book as the quoted swap leaves it."""
        ...

    def repriced(self, factors: Mapping[Address, Fraction]) -> "SwapBook":
        """Return the book as arbitrage would leave it once tokens' values move by factors."""
        ...


class SwapVenue(Protocol):
    """A place to swap tokens."""

    @property
    def name(self) -> str:
        """Return the venue's name in plans and books."""
        ...

    async def snapshot(
        self, pairs: Collection[tuple[Address, Address]], block: BlockRef
    ) -> SwapBook:
        """Read every pool that may serve the pairs (token in, token out), as of ``block``.

        A pair without a pool has no path in the book.
        """
        ...


class LoanBook(Protocol):
    """What a lender can lend at one block. Immutable, pure."""

    def most(self, asset: Address) -> int:
        """Return the most that can be borrowed, raw units; 0 when nothing can."""
        ...

    def quote(self, asset: Address, amount: int) -> Funding | None:
        """Return the loan and its fee, or None when the lender cannot lend that much."""
        ...


class FlashSource(Protocol):
    """A lender within one transaction."""

    @property
    def name(self) -> str:
        """Return the source's name in plans and books."""
        ...

    async def snapshot(self, assets: Collection[Address], block: BlockRef) -> LoanBook:
        """Read what can be borrowed of each asset, as of ``block``."""
        ...

    def fee_paid(self, logs: Sequence[Log]) -> tuple[Address, int] | None:
        """Return the fee's asset and raw amount from a transaction's logs, None without a loan."""
        ...


class Signer(Protocol):
    """Holds a key. It signs only what it is handed, for the chain it was made for."""

    @property
    def address(self) -> Address:
        """Return the sender's address."""
        ...

    def sign(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        """Return the signed type-2 transaction and its hash."""
        ...


class Journal(Protocol):
    """The write-ahead journal. Each method returns when the record is on disk."""

    async def intend(self, plan: Plan) -> None:
        """Record that the plan will be carried out."""
        ...

    async def record_signed(self, submission: Submission) -> None:
        """Record a signed transaction before it is sent."""
        ...

    async def seal(self, signed: Sequence[tuple[Plan, Submission]]) -> None:
        """Record plans with their signed transactions, all of them or none, before any is sent."""
        ...

    async def record_sent(self, submission: Submission) -> None:
        """Record that the node took the transaction."""
        ...

    async def record_all_sent(self, submissions: Sequence[Submission]) -> None:
        """Record that the node took each of the transactions; some may have landed meanwhile."""
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Record how the intent ended and enter it in the books."""
        ...

    async def revise(self, outcome: Outcome) -> None:
        """Correct an outcome in the books: a reorg changed how the intent ended."""
        ...

    async def reopen(self, plan_id: str) -> bool:
        """Take an outcome out of the books, its block being gone; the intent is open again.

        Returns False, with nothing done, when something else of ours has taken its place.
        """
        ...

    async def settled_since(self, block: int) -> list[Settled]:
        """Return the intents with transactions that ended in ``block`` or later."""
        ...

    async def halt(self, why: str) -> None:
        """Record that nothing more is sent until a person allows it."""
        ...

    async def standing(self) -> StandingRow:
        """Return whether sending is halted."""
        ...

    async def tally(self, *, day: int, hour: int) -> Tally:
        """Return what outcomes cost since the start of a day and of an hour, unix seconds."""
        ...

    async def reject(self, deployment: str, rejection: Rejection) -> None:
        """Record why an opportunity was not taken."""
        ...

    async def tried(self, plan_id: str) -> bool:
        """Return whether a plan of this id was more than shown, in this run or an earlier one."""
        ...

    async def open_intents(self) -> list[Intent]:
        """Return every intent without an outcome, oldest first."""
        ...

    async def gas_spent_since(self, timestamp: int) -> int:
        """Return the wei of gas that outcomes recorded since ``timestamp`` (unix seconds) cost."""
        ...


class PrivateRelay(Protocol):
    """A relay or builder that takes transactions out of the public's sight."""

    @property
    def name(self) -> str:
        """Return what it may be called in messages."""
        ...

    async def ask(self, method: str, *params: object) -> object:
        """Ask once. Raises RefusedError on a no, TransientError when it is not known."""
        ...

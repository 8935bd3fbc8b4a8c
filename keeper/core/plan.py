"""Values of planning and sending: opportunity, plan, submission, outcome.

They are five different things with *option* (see ``keeper.core.lending``) and are never swapped.
"""

from enum import StrEnum

from msgspec import Struct

from keeper.core.accounting import Waterfall
from keeper.core.chain import NO_DATA_COST, BlockRef, DataCost, Fees, Transaction
from keeper.core.lending import (
    AccountRef,
    Health,
    Liquidation,
    Option,
    SeizeQuote,
    Valuation,
)
from keeper.core.units import Address, Hash32
from keeper.core.values import replace


class Opportunity(Struct, frozen=True, kw_only=True):
    """An account that the protocol lets anybody liquidate in the next block."""

    ref: AccountRef
    block: BlockRef
    """The head whose state was scanned; the plan aims at the block after it."""
    timestamp: int
    """Timestamp expected of the target block."""
    health: Health
    options: tuple[Option, ...]
    trigger: str
    """What made it one: a price event, accrued interest, the first look."""


class SwapKind(StrEnum):
    """How the amount of a swap is fixed on chain."""

    EXACT_OUT_OWED = "exact_out_owed"
    """Buy exactly what is still owed to the lender."""
    EXACT_IN_BALANCE = "exact_in_balance"
    """Sell all that the executor holds of ``token_in``."""
    EXACT_OUT = "exact_out"
    """Buy a fixed amount: one part of a purchase over several paths."""
    EXACT_IN = "exact_in"
    """Sell a fixed amount: one part of a sale over several paths."""


class SwapLeg(Struct, frozen=True, kw_only=True):
    """One swap of a route against one pool. Amounts are the forecast."""

    venue: str
    pool: Address
    token_in: Address
    token_out: Address
    kind: SwapKind
    amount_in: int
    amount_out: int


class LoanKind(StrEnum):
    """How the repaid amount comes to hand within the transaction."""

    FLASH_SIMPLE = "flash_simple"
    """Aave V3's ``flashLoanSimple``."""
    FLASH_PLAIN = "flash_plain"
    """``flashLoan(address,uint256,bytes)`` with Morpho Blue's callback."""
    FLASH_POOL = "flash_pool"
    """Uniswap V3's ``flash``: the pool is locked until the loan is repaid."""
    FLASH_VAULT = "flash_vault"
    """Balancer V2's ``flashLoan``."""
    FLASH_3156 = "flash_3156"
    """ERC-3156: the operator's own inventory."""
    PAID_LATER = "paid_later"
    """No loan: the protocol is paid after its own callback."""
    BOUGHT_FIRST = "bought_first"
    """No loan: a pool hands over the debt's asset and is paid in collateral after its callback."""


class Funding(Struct, frozen=True, kw_only=True):
    """Where the repaid amount comes from, and what that costs. Raw units of ``asset``."""

    source: str
    lender: Address
    asset: Address
    amount: int
    fee: int
    gas: int
    """About what borrowing and giving back takes, before it is simulated."""
    kind: LoanKind = LoanKind.FLASH_SIMPLE


class Underlying(Struct, frozen=True, kw_only=True):
    """A token that shares are redeemed for; no market needs to price it."""

    address: Address
    symbol: str
    unit: int
    """``10**decimals``."""


class Unwound(Struct, frozen=True, kw_only=True):
    """Seized shares that are redeemed before anything is swapped. Amounts are the forecast."""

    kind: str
    share: Address
    shares: int
    """As seized, raw units."""
    underlying: Underlying
    assets: int
    """What they bring, raw units of the underlying."""


class Plan(Struct, frozen=True, kw_only=True):
    """One liquidation ready to be judged by policy, simulated, journaled and sent."""

    id: str
    """Unique per deployment, market, account and head."""
    deployment: str
    opportunity: Opportunity
    option: Option
    quote: SeizeQuote
    """Of all its liquidations together."""
    funding: Funding
    route: tuple[SwapLeg, ...]
    transaction: Transaction
    gas_limit: int
    fees: Fees
    tip: int
    """Wei to the block's proposer."""
    min_profit: int
    """Wei of wrapped native that the chain must see at the recipient, or revert."""
    deadline: int
    """Unix seconds after which the executor contract reverts."""
    forecast: Waterfall
    valuation: Valuation
    data_cost: DataCost = NO_DATA_COST
    """What a rollup charges for the transaction's data, over what a rehearsal counts."""
    least_net: int = 0
    """Wei that the forecast must net, or the plan is not sent."""
    steps: tuple[SeizeQuote, ...] = ()
    """The liquidations of the pair, one after the other; empty is ``quote`` alone."""
    unwound: Unwound | None = None
    """What becomes of the seized collateral first, where it is not swapped itself."""
    forced: bool = False
    """Of an insolvent account, at a loss that the deployment's forced budget allows."""
    local: "Plan | None" = None
    """The same without an offer from outside: what is done when the rehearsal shows no gain."""
    companions: "tuple[Plan, ...]" = ()
    """Plans that its transaction carries out as well: together they are a batch. What is of the
    transaction as a whole (bytes, gas limit, least profit, charge for data) is with this one."""

    @property
    def liquidations(self) -> tuple[SeizeQuote, ...]:
        """What the transaction liquidates, in order."""
        return self.steps or (self.quote,)

    @property
    def ref(self) -> AccountRef:
        """The account that the plan liquidates."""
        return self.opportunity.ref

    @property
    def members(self) -> "tuple[Plan, ...]":
        """The plan of each account of the transaction, in order; no one has companions."""
        return (replace(self, companions=()), *self.companions) if self.companions else (self,)


class Status(StrEnum):
    """Where an intent stands. All but the first five are final."""

    ARMED = "armed"
    """Signed ahead and not sent: it is no open intent yet, and may never be one."""
    INTENDED = "intended"
    SIGNED = "signed"
    SENT = "sent"
    UNDONE = "undone"
    """A reorg undid its end, and another intent has its account: it is only to be cancelled."""
    LANDED = "landed"
    REVERTED = "reverted"
    DROPPED = "dropped"
    """It never ran, and cost nothing."""
    CANCELLED = "cancelled"
    """A transaction of ours that does nothing took its nonce; that one cost its gas."""
    SIMULATED = "simulated"
    """Disarmed: shown as what would have been sent."""


class Purpose(StrEnum):
    """What a signed transaction of an intent is for."""

    LIQUIDATE = "liquidate"
    CANCEL = "cancel"
    """Take the nonce of the intent's other transactions, and do nothing."""


class Submission(Struct, frozen=True, kw_only=True):
    """A signed transaction of an intent. Those of one intent share sender and nonce."""

    plan_id: str
    sender: Address
    nonce: int
    tx_hash: Hash32
    raw: bytes
    fees: Fees
    target_block: int
    purpose: Purpose = Purpose.LIQUIDATE
    lane: str = "mempool"
    """The name of the lane that it went out by; it never goes by another."""


class Companion(Struct, frozen=True, kw_only=True):
    """An account that goes with another one's intent."""

    plan_id: str
    ref: AccountRef
    valuation: Valuation | None = None
    """The prices that it was planned at."""
    least_net: int = 0
    """Wei that it has to net, as planned."""


class Intent(Struct, frozen=True, kw_only=True):
    """A journaled plan that has no outcome yet: what a restart needs to close it."""

    plan_id: str
    deployment: str
    ref: AccountRef
    status: Status
    tip: int
    deadline: int
    submission: Submission | None
    """The newest signed transaction, None when it never came to signing."""
    replaced: tuple[Submission, ...] = ()
    """Those before it, oldest first. Any one of them may land, and only one."""
    forced: bool = False
    """Whether what it loses is of its deployment's forced budget."""
    companions: tuple[Companion, ...] = ()
    """Those that its transactions liquidate as well, in order."""
    data_cost: DataCost = NO_DATA_COST
    """What a rollup charges for its transaction's data, as planned."""
    valuation: Valuation | None = None
    """The prices that it was planned at; None where the journal does not tell them."""
    least_net: int = 0
    """Wei that it has to net, as planned; each of the companions has its own."""

    @property
    def valuations(self) -> tuple[Valuation | None, ...]:
        """The prices that each account of it was planned at."""
        return (self.valuation, *(one.valuation for one in self.companions))

    @property
    def refs(self) -> tuple[AccountRef, ...]:
        """Every account of it."""
        return (self.ref, *(one.ref for one in self.companions))

    @property
    def least_nets(self) -> tuple[int, ...]:
        """What each account of it has to net, wei."""
        return (self.least_net, *(one.least_net for one in self.companions))

    @property
    def attempts(self) -> tuple[Submission, ...]:
        """Every signed transaction, the newest first."""
        newest = () if self.submission is None else (self.submission,)
        return (*newest, *reversed(self.replaced))


class Outcome(Struct, frozen=True, kw_only=True):
    """How a submission ended, with the realised split."""

    plan_id: str
    status: Status
    tx_hash: Hash32 | None
    block: int | None
    gas_used: int
    realised: Waterfall
    liquidations: tuple[Liquidation, ...]
    detail: str = ""
    block_hash: Hash32 | None = None
    """Of the block that included it: until that is final, a reorg may undo it."""
    companions: "tuple[Outcome, ...]" = ()
    """How those ended that went with it; each has its own part of what the whole cost."""

    @property
    def each(self) -> "tuple[Outcome, ...]":
        """The outcome of each account, in order."""
        return (self, *self.companions)


class Settled(Struct, frozen=True, kw_only=True):
    """An intent with the outcome that the books have of it."""

    intent: Intent
    outcome_status: Status
    block: int | None
    block_hash: Hash32 | None

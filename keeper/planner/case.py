"""What a plan is made from: one liquidatable account, and the desk that it is planned at."""

from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Self, TypeVar, cast

from msgspec import Struct, field

from keeper.core.chain import BlockRef, Fees
from keeper.core.lending import Health, Option, ProtocolCall, SeizeQuote, Valuation
from keeper.core.plan import Funding, Opportunity, Plan
from keeper.core.ports import LoanBook, ProtocolAdapter
from keeper.core.stepping import Lending, Prepared, Stepwise, offers
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.data_fees import FREE_DATA, DataFees
from keeper.planner.exchange import Exchange
from keeper.planner.unwinding import Unwinding

M = TypeVar("M")
P = TypeVar("P")


class Case(Struct, frozen=True, kw_only=True):
    """An opportunity with its protocol's arithmetic, bound to the market and the position."""

    opportunity: Opportunity
    deployment: str
    valuation: Valuation
    seize: Callable[[Option, int], SeizeQuote]
    """Raises RefusedError when the protocol would revert."""
    calls: Callable[[Option, SeizeQuote, Address], tuple[ProtocolCall, ...]]
    gas: Callable[[Option, Sequence[SeizeQuote]], int]
    """About what the calls of quoted liquidations take, one after the other."""
    after: "Callable[[Option, SeizeQuote], After | None]" = lambda *_: None
    """The account once a liquidation is done; None when no further one can be planned."""
    market: "Market | None" = None
    """None where liquidations are planned as if they did not move it."""


class After(Struct, frozen=True, kw_only=True):
    """What a liquidation leaves of an account."""

    health: Health
    case: Callable[[], Case]
    """With all that may be liquidated next."""


class Market(Struct, frozen=True, kw_only=True):
    """The market that a case is planned in."""

    after: Callable[[Option, SeizeQuote], object]
    """The market as a liquidation of the case leaves it; handed around unopened."""
    case: Callable[[object], Case]
    """The case in the market as others leave it."""
    lent: Callable[[object, Funding], object] = lambda market, _: market
    """The market once what funded a liquidation is given back."""


def case_of(
    adapter: ProtocolAdapter[M, P],
    view: M,
    position: P,
    *,
    opportunity: Opportunity,
    valuation: Valuation,
) -> Case:
    """Bind an adapter's pure functions to one account; ``view`` is the market at the target."""
    return Case(
        opportunity=opportunity,
        deployment=adapter.deployment,
        valuation=valuation,
        seize=_seizer(adapter, view, position),
        calls=partial(adapter.calls, view, opportunity.ref),
        gas=partial(adapter.gas, view, position),
        after=partial(_after, adapter, view, position, opportunity, valuation),
        market=Market(
            after=partial(adapter.market_after, view, position),
            lent=partial(_lent, adapter),
            case=partial(_case_in, adapter, position, opportunity, valuation),
        ),
    )


def _seizer(
    adapter: ProtocolAdapter[M, P], view: M, position: P
) -> Callable[[Option, int], SeizeQuote]:
    if not offers(type(adapter), Prepared):
        return partial(adapter.seize, view, position)
    return cast("Prepared[M, P]", adapter).seizer(view, position)


def _after(
    adapter: ProtocolAdapter[M, P],
    view: M,
    position: P,
    opportunity: Opportunity,
    valuation: Valuation,
    option: Option,
    quote: SeizeQuote,
) -> After | None:
    """Return what a liquidation leaves behind, None when it cannot be said."""
    if not offers(type(adapter), Stepwise):
        return None
    stepwise = cast("Stepwise[M, P]", adapter)
    found = stepwise.after_seize(view, position, option, quote)
    if found is None:
        return None
    left_view, left = found
    return After(
        health=adapter.assess(left_view, left),
        case=partial(_case_in, adapter, left, opportunity, valuation, left_view),
    )


def _lent(adapter: ProtocolAdapter[M, P], view: object, loan: Funding) -> object:
    """Return a market after a loan that it may have been the lender of."""
    if not offers(type(adapter), Lending):
        return view
    return cast("Lending[M]", adapter).after_loan(cast("M", view), loan)


def _case_in(
    adapter: ProtocolAdapter[M, P],
    position: P,
    opportunity: Opportunity,
    valuation: Valuation,
    view: object,
) -> Case:
    """Return an account's case in a view of its market: its health and options are those there."""
    market = cast("M", view)
    still = replace(
        opportunity,
        health=adapter.assess(market, position),
        options=adapter.options(market, position),
    )
    return case_of(adapter, market, position, opportunity=still, valuation=valuation)


class Desk(Exchange, frozen=True, kw_only=True):
    """Everything outside the account that a plan depends on. Immutable; carried forward."""

    block: BlockRef
    loans: tuple[LoanBook, ...]
    fees: Fees
    base_fee: int
    """Expected of the target block, wei per gas."""
    data_fees: DataFees = FREE_DATA
    """What a rollup charges for a transaction's data."""
    unwinding: Unwinding = field(default_factory=Unwinding)
    """What is redeemed before it is swapped."""

    def repriced(self, factors: Mapping[Address, Fraction]) -> Self:
        """Return the desk once the exchanges followed a move; underlyings move as their shares."""
        return super().repriced(self.unwinding.follow(factors))

    def behind(self, plan: Plan) -> Self:
        """Return the desk as a plan leaves it of which nothing else is known."""
        left = self.past(plan.route)
        return replace(left, unwinding=self.unwinding.after(plan.unwound))

    @property
    def gas_price(self) -> int:
        """Wei per gas that a transaction pays at the expected base fee."""
        return min(self.fees.max_fee, self.base_fee + self.fees.priority_fee)

    def most(self, asset: Address) -> int:
        """Return the most that one lender lends of an asset."""
        return max((book.most(asset) for book in self.loans), default=0)

    def lent(self, asset: Address) -> tuple[int, ...]:
        """Return what each lender has of an asset."""
        return tuple(book.most(asset) for book in self.loans)

    def loans_of(
        self, asset: Address, amount: int, locked: Collection[Address] = ()
    ) -> list[Funding]:
        """Return the loan of each lender that lends as much.

        ``locked`` are pools that are needed while the loan is out, and so cannot be its lender.
        """
        return [
            loan
            for book in self.loans
            if (loan := book.quote(asset, amount)) is not None and loan.lender not in locked
        ]

    def borrow(
        self,
        valuation: Valuation,
        asset: Address,
        amount: int,
        locked: Collection[Address] = (),
    ) -> Funding | None:
        """Return the loan whose fee and gas cost the least; None when there is none."""

        def cost(loan: Funding) -> tuple[int, int]:
            return valuation.wei_floor(asset, loan.fee) + loan.gas * self.gas_price, loan.fee

        return min(self.loans_of(asset, amount, locked), key=cost, default=None)

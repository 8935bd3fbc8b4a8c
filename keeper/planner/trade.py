"""One amount along one route: everything that would move, to the raw unit."""

from typing import Final, NamedTuple

from msgspec import Struct

from keeper.core.chain import DataCost
from keeper.core.errors import RefusedError
from keeper.core.lending import Option, Reason, SeizeQuote
from keeper.core.plan import Funding, LoanKind
from keeper.core.ports import SwapOffer, SwapQuote
from keeper.core.units import WAD, ZERO_ADDRESS, Address
from keeper.core.values import replace
from keeper.planner.broker import Broker
from keeper.planner.case import Case, Desk
from keeper.planner.costs import GasModel, Limits
from keeper.planner.joint_division import pools
from keeper.planner.routing import Route
from keeper.planner.swapping import Short, Swaps, Task, swap
from keeper.planner.unwinding import Redeemed, symbol_of, value_floor

PAID_LATER: Final = "callback"
"""The funding's name where the protocol is paid after its own callback."""
BOUGHT_FIRST: Final = "swap"
"""The funding's name where a pool hands over what is repaid and is paid after its callback."""


class Terms(Struct, frozen=True, kw_only=True):
    """What holds for every plan of a planner."""

    executor: Address
    operator: Address
    native: Address
    """The wrapped native token: the profit's token."""
    limits: Limits
    gas: GasModel


class Trade(Struct, frozen=True, kw_only=True):
    """A liquidation that can be carried out, with what is left at its end."""

    option: Option
    route: Route
    seize: SeizeQuote
    """Of all steps together."""
    steps: tuple[SeizeQuote, ...]
    """The liquidations, one after the other; nearly always one."""
    funding: Funding
    repay: Swaps
    """The purchases of what is owed, one for each path of the way; the last takes what drifted."""
    sale: Swaps
    buyback: Swaps
    """Purchases of what is owed out of the sale; if there are any, the last takes what drifted."""
    proceeds: int
    """Wrapped native at hand when the loan is repaid, wei."""
    gas_units: int
    data: DataCost
    """The most that a rollup charges for a transaction of that size."""
    bid: int
    """By how much the priority fee is raised, wei per gas."""
    gas: int
    """Wei, L1 data fee included."""
    tip: int
    """Wei."""
    offer: SwapOffer | None = None
    """Taken in place of the local sale, which then sells only what the offer leaves."""
    redeemed: Redeemed | None = None
    """What the collateral is redeemed for before the swaps; None where it is swapped itself."""
    forced: bool = False
    """At a loss that the operator allows."""

    @property
    def sold(self) -> Address:
        """The token that the swaps begin with."""
        done = self.redeemed
        return self.option.collateral if done is None else done.unwound.underlying.address

    @property
    def received(self) -> int:
        """What reaches the recipient, wei."""
        return self.proceeds - self.tip

    @property
    def assured(self) -> int:
        """The same, should what an offer promises have to be sold along the local path."""
        if self.offer is None:
            return self.received
        lost = self.offer.amount_out - sum(part.amount_out for part in self.sale)
        return self.received - max(lost, 0)

    @property
    def earned(self) -> int:
        """What the liquidation earns before tip and bid, wei."""
        return self.proceeds - self.gas + self.bid * (self.gas_units + self.data.gas)

    @property
    def net(self) -> int:
        """What the liquidation earns after everything, wei."""
        return self.received - self.gas

    def swaps(self) -> tuple[SwapQuote, ...]:
        """Return the swaps in the order of their execution."""
        return (*self.repay, *self.sale, *self.buyback)

    def leave(self, desk: Desk) -> Desk:
        """Return the desk as the trade leaves it."""
        left = desk.after(*self.swaps())
        if self.redeemed is None:
            return left
        return replace(left, unwinding=desk.unwinding.after(self.redeemed.unwound))


class Miss(Struct, frozen=True, kw_only=True):
    """An amount along a route that cannot be carried out, and why."""

    reason: Reason
    detail: str
    net: int | None = None
    """The loss that it would have been, when that can be said, wei."""


def seizure(case: Case, option: Option, repay: int) -> SeizeQuote | Miss:
    """Quote the seizure; a protocol that would revert, or move nothing, is a miss."""
    try:
        quote = case.seize(option, repay)
    except RefusedError as refusal:
        return Miss(reason=Reason.NO_OPTION, detail=f"the protocol refuses: {refusal}")
    if quote.repay < 1 or quote.received < 1:
        return Miss(reason=Reason.NO_OPTION, detail="there is too little to seize")
    return quote


def together(steps: tuple[SeizeQuote, ...]) -> SeizeQuote:
    """Return what several steps take and give in all."""
    if len(steps) == 1:
        return steps[0]
    return SeizeQuote(
        repay=sum(one.repay for one in steps),
        seized=sum(one.seized for one in steps),
        protocol_fee=sum(one.protocol_fee for one in steps),
        headroom=sum(one.headroom for one in steps),
    )


def trade(
    case: Case,
    desk: Desk,
    terms: Terms,
    route: Route,
    option: Option,
    *steps: SeizeQuote,
    broker: Broker | None = None,
) -> Trade | Miss:
    """Return what liquidating that much, in one step or several, along the route comes to.

    A ``broker`` at the desk may know some of it.
    """
    seize = together(steps)
    funding = _funding(case, desk, route, option, seize)
    if funding is None:
        return _unfunded(case, desk, option, seize.repay + seize.headroom)
    try:
        redeemed = _redeem(case, desk, option, steps, funding)
    except RefusedError as refusal:
        return Miss(reason=Reason.NO_ROUTE, detail=f"cannot be redeemed: {refusal}")
    spoils = _Spoils(
        token=option.collateral if redeemed is None else redeemed.unwound.underlying.address,
        amount=seize.received if redeemed is None else redeemed.assets,
        redeemed=redeemed,
        gas=case.gas(option, steps) + funding.gas + (0 if redeemed is None else redeemed.book.gas),
    )
    # Headroom that the protocol leaves is given back: it is the fee of it that has to be earned.
    owed = seize.repay + funding.fee
    task = Task(token=spoils.token, held=spoils.amount, debt=option.debt, owed=owed)
    legs = swap(broker or Broker(desk), route, task)
    if isinstance(legs, Short):
        return _missing(case, desk, terms, route, legs, spoils)
    hops = legs.hops
    size = terms.gas.size(hops, steps=len(steps), unwinds=redeemed is not None)
    data = desk.data_fees.at_most(size)
    units = terms.gas.units(hops) + spoils.gas
    gas = units * desk.gas_price + data.at(desk.gas_price)
    tip = terms.limits.tip(legs.proceeds, gas)
    bid = terms.limits.bid(legs.proceeds - gas - tip, units + data.gas, desk.fees.max_fee)
    return Trade(
        option=option,
        route=route,
        seize=seize,
        steps=steps,
        funding=funding,
        repay=legs.repay,
        sale=legs.sale,
        buyback=legs.buyback,
        proceeds=legs.proceeds,
        gas_units=units,
        data=data,
        bid=bid,
        gas=gas + bid * (units + data.gas),
        tip=tip,
        redeemed=redeemed,
    )


def _redeem(
    case: Case, desk: Desk, option: Option, steps: tuple[SeizeQuote, ...], funding: Funding
) -> Redeemed | None:
    """Return what all that is seized is redeemed for, once; None where it is swapped itself."""
    if option.collateral not in desk.unwinding.books:
        return None
    received = [step.received for step in steps]
    timestamp = case.opportunity.timestamp
    return desk.unwinding.redeem(option.collateral, received, timestamp, funding)


def _funding(
    case: Case, desk: Desk, route: Route, option: Option, seize: SeizeQuote
) -> Funding | None:
    """Return the cheapest loan; none is needed of a protocol that is paid later.

    What nobody lends at all is bought with the collateral that it will bring, from a pool that is
    paid after its callback. What somebody lends, if not as much, is worth a loan of less.
    """
    if option.pays_later:
        return _unlent(PAID_LATER, LoanKind.PAID_LATER, option.debt, seize.repay)
    if desk.most(option.debt) == 0 and route.pays_in_callback and seize.headroom == 0:
        return _unlent(BOUGHT_FIRST, LoanKind.BOUGHT_FIRST, option.debt, seize.repay)
    amount = seize.repay + seize.headroom
    return desk.borrow(case.valuation, option.debt, amount, pools(route.locks))


def _unfunded(case: Case, desk: Desk, option: Option, wanted: int) -> Miss:
    """Say how much is wanted, and the most that one lender lends of it."""
    symbol = case.valuation.assets[option.debt].symbol
    detail = f"wants {wanted} raw units of {symbol}, and the most that anyone lends is "
    detail += str(desk.most(option.debt))
    if desk.loans_of(option.debt, wanted):
        detail += ", by a pool that the route has to swap in while it lends"
    return Miss(reason=Reason.NO_FUNDING, detail=detail)


def _unlent(source: str, kind: LoanKind, asset: Address, amount: int) -> Funding:
    return Funding(
        source=source, lender=ZERO_ADDRESS, asset=asset, amount=amount, fee=0, gas=0, kind=kind
    )


class _Spoils(NamedTuple):
    """What there is to swap: the collateral, or what it was redeemed for."""

    token: Address
    amount: int
    redeemed: Redeemed | None
    gas: int
    """Units of borrowing, liquidating and redeeming."""


def _missing(
    case: Case, desk: Desk, terms: Terms, route: Route, short: Short, spoils: _Spoils
) -> Miss:
    """Say what is missing; a loss in wei when the pools could quote it."""
    redeemed = spoils.redeemed
    if short.amount == 0:
        symbol = symbol_of(case.valuation, short.asset, redeemed)
        swap = "buying" if short.buys else "selling"
        detail = f"{swap} {short.tried} raw units of {symbol} goes beyond the pools' known range"
        return Miss(reason=Reason.NO_ROUTE, detail=detail)
    data = desk.data_fees.at_most(terms.gas.size(route.hops, unwinds=redeemed is not None))
    units = terms.gas.units(route.hops) + spoils.gas
    gas = units * desk.gas_price + data.at(desk.gas_price)
    amount, lost = _amiss(case, terms, short, redeemed)
    return Miss(
        reason=Reason.BELOW_MIN_PROFIT,
        detail=f"the collateral is {amount} short of what is owed",
        net=-lost - gas,
    )


def _amiss(case: Case, terms: Terms, short: Short, redeemed: Redeemed | None) -> tuple[str, int]:
    """Return what is missing in words, and in wei."""
    valuation, asset, amount = case.valuation, short.asset, short.amount
    if asset == terms.native and asset not in valuation.assets:  # no market need price it
        return f"{_whole(amount, WAD)} of the native coin", amount
    known, symbol = valuation.assets.get(asset), symbol_of(valuation, asset, redeemed)
    whole = f"{amount} raw units of" if known is None else _whole(amount, known.unit)
    return f"{whole} {symbol}", value_floor(valuation, asset, amount, redeemed)


def _whole(amount: int, unit: int) -> str:
    """Return an amount in whole units, exactly."""
    whole, rest = divmod(amount, unit)
    digits = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)

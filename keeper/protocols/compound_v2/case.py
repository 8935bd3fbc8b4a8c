"""An account with one collateral and one debt chosen: a market's debt, or VAI."""

from collections.abc import Iterator

from msgspec import Struct

from keeper.core.lending import Option
from keeper.core.units import WAD, Address
from keeper.protocols.compound_v2 import rules
from keeper.protocols.compound_v2.health import (
    Shortfall,
    accrued_vai_debt,
    debt_of,
    is_forced,
    known_price,
    shortfall,
    vai_debt,
    vai_is_forced,
    vai_shortfall,
)
from keeper.protocols.compound_v2.membership import entered, risk_of, unentered
from keeper.protocols.compound_v2.refusals import MarketRefusedError, Refusal
from keeper.protocols.compound_v2.state import (
    CORE_POOL,
    Action,
    Deployment,
    Entry,
    Market,
    Position,
    Vai,
)

KEY_SEPARATOR = ":"
NO_MARKET = -1
"""The number of what stands in a market's place."""


class Minted(Struct, frozen=True, kw_only=True):
    """A debt of VAI, of which an offer is not taken to the last raw unit."""

    owed: int
    amount: int
    past_interest: int

    def taken(self, repay: int) -> int:
        """Return what of an offer lowers the debt."""
        return rules.minted_repaid(repay, self.owed, self.amount, self.past_interest)


class Case(Struct, frozen=True, kw_only=True):
    """An account with one collateral and one debt chosen."""

    collateral: Market
    debt: Market
    tokens: int
    owed: int
    incentive: int
    """Of the borrower's pool: what the treasury's part is reckoned by."""
    ratio: int
    """cTokens for one raw unit repaid, wad."""
    forced: bool
    found: Shortfall
    restricted: bool
    vai: int
    """What the account owes in VAI beside."""
    minted: "Minted | None" = None
    """The debt itself, where that is VAI."""

    def taken(self, repay: int) -> int:
        """Return what of an offer lowers the debt."""
        return repay if self.minted is None else self.minted.taken(repay)


def cases_of(view: Deployment, position: Position) -> Iterator[Case]:
    """Yield every collateral with every debt, VAI last."""
    entries = entered(view, position)
    numbers = [one.market for one in entries if one.tokens]
    held = [
        view.markets[one]
        for one in (*numbers, *unentered(view, position))
        if not is_worthless(view, one)
    ]
    for owed in entries:
        if owed.principal:
            for collateral in held:
                yield case_of(view, position, collateral, view.markets[owed.market])
    if view.vai is not None and position.vai_minted:
        for collateral in held:
            yield case_of(view, position, collateral, controller_of(view.vai))


def tokens_of(position: Position, number: int) -> int:
    """Return the cTokens of a market that an account has, entered or not."""
    held = sum(one.tokens for one in position.entries if one.market == number)
    return held + dict(position.unentered).get(number, 0)


def is_worthless(view: Deployment, number: int) -> bool:
    """Return whether a market's cTokens come to nothing: what they are seized by divides by that.

    So they do where the underlying is gone.
    """
    return view.mul(known_price(view, number), view.lines[number].rate) == 0


def markets_of(view: Deployment, position: Position, option: Option) -> tuple[Market, Market]:
    """Return the option's markets: those of its key, else the account's own of its assets."""
    if option.key:
        collateral, debt = (Address(one) for one in option.key.split(KEY_SEPARATOR))
        return market_at(view, collateral), market_at(view, debt)
    entries = [(view.markets[one.market], one) for one in entered(view, position)]
    held = [market for market, one in entries if one.tokens and market.asset == option.collateral]
    owed = [market for market, one in entries if one.principal and market.asset == option.debt]
    if not held:
        raise MarketRefusedError(Refusal.NOT_COLLATERAL, option.collateral)
    if view.vai is not None and position.vai_minted and option.debt == view.vai.token:
        owed = [controller_of(view.vai)]
    if not owed:
        raise MarketRefusedError(Refusal.NOT_BORROWED, option.debt)
    return held[0], owed[0]


def market_at(view: Deployment, place: Address) -> Market:
    """Return a market, or VAI's controller in a market's place."""
    if view.vai is not None and place == view.vai.controller:
        return controller_of(view.vai)
    return view.markets[view.numbers[place]]


def controller_of(vai: Vai) -> Market:
    """Return VAI's controller in a market's place: it lends one token, and keeps no cash."""
    paused = {Action.LIQUIDATE: vai.liquidation_paused, Action.REPAY: vai.repayment_paused}
    return Market(
        number=NO_MARKET,
        token=vai.controller,
        asset=vai.token,
        native=False,
        symbol="VAI",
        unit=WAD,
        risks={},
        paused=frozenset(action for action, is_so in paused.items() if is_so),
        forced=vai.forced,
        seize_share=0,
        reserve_factor=0,
        stored=rules.Stored(cash=0, borrows=0, reserves=0, index=0, supply=0),
        rate=0,
        accrued_at=0,
        initial_rate=0,
        names_borrower=False,
    )


def case_of(view: Deployment, position: Position, collateral: Market, debt: Market) -> Case:
    """Return the case of one pair. Raises StaleError when a price is not known.

    VAI counts as a dollar, and is seized for at the core pool's incentive. Raises RefusedError
    where the collateral is worth nothing.
    """
    if is_worthless(view, collateral.number):
        raise MarketRefusedError(Refusal.WORTHLESS, collateral.symbol)
    if debt.number == NO_MARKET:
        return _vai_case(view, position, collateral, debt)
    none = Entry(market=-1, tokens=0, principal=0, principal_index=0)
    entries = {one.market: one for one in position.entries}
    owing = entries.get(debt.number, none)
    asked = position.pool if debt.names_borrower else CORE_POOL
    ratio = rules.seize_ratio(
        incentive=risk_of(view, collateral, asked).incentive,
        debt_price=known_price(view, debt.number),
        collateral_price=known_price(view, collateral.number),
        rate=view.lines[collateral.number].rate,
        mul=view.mul,
    )
    return Case(
        collateral=collateral,
        debt=debt,
        tokens=tokens_of(position, collateral.number),
        owed=debt_of(view, owing) if owing.principal else 0,
        incentive=risk_of(view, collateral, position.pool).incentive,
        ratio=ratio,
        forced=owing.principal > 0 and is_forced(view, position, owing),
        found=shortfall(view, position, (collateral.number, debt.number)),
        restricted=position.restricted,
        vai=vai_debt(view, position),
    )


def _vai_case(view: Deployment, position: Position, collateral: Market, debt: Market) -> Case:
    """Mirror ``VAIController.liquidateVAI`` with ``liquidateVAICalculateSeizeTokens``."""
    owed = accrued_vai_debt(view, position)
    ratio = rules.seize_ratio(
        incentive=risk_of(view, collateral, CORE_POOL).incentive,
        debt_price=WAD,
        collateral_price=known_price(view, collateral.number),
        rate=view.lines[collateral.number].rate,
        mul=view.mul,
    )
    return Case(
        collateral=collateral,
        debt=debt,
        tokens=tokens_of(position, collateral.number),
        owed=owed,
        incentive=risk_of(view, collateral, position.pool).incentive,
        ratio=ratio,
        forced=vai_is_forced(view, position),
        found=vai_shortfall(view, position, collateral.number),
        restricted=position.restricted,
        vai=owed,
        minted=Minted(
            owed=owed, amount=position.vai_minted, past_interest=position.vai_past_interest
        ),
    )

"""Offers from outside in place of a trade's local sale: which is taken, and all that it costs."""

from hashlib import shake_128

import pytest

from keeper.core.plan import Underlying
from keeper.core.ports import Ask, SwapOffer
from keeper.core.units import BPS, Address
from keeper.core.values import replace
from keeper.evm.data_fees import ArbitrumData
from keeper.planner.build import build_plan
from keeper.planner.case import Desk
from keeper.planner.costs import GasModel, Limits
from keeper.planner.offers import Chosen, ask_of, best_offered, with_offer
from keeper.planner.planner import Planner
from keeper.planner.trade import Terms
from keeper.planner.unwinding import Unwinding
from keeper.venues.unwinding.curve import Curve
from keeper.venues.unwinding.erc4626 import VaultBook
from tests.support.lending_desk import (
    DAI,
    DEEP,
    EXECUTOR,
    LENDER,
    TRIANGLE,
    USDC,
    VALUATION,
    WBTC,
    WETH,
    case_with,
    desk_of,
    markets,
    option_of,
    pool_at_par,
    terms_of,
)

DESK = desk_of(*TRIANGLE)
LEFTOVER_GAS = 15_000
BYTES = ArbitrumData(wei_per_byte=1, wei_per_gas=1)
"""Charges a unit of gas for each byte, of which the signature has 68."""


def limits(**given: int) -> Limits:
    return Limits(**{"min_profit": 0, "max_gas_price": 10**12, **given})


def chosen_at(desk: Desk, terms: Terms | None = None, debt: Address = USDC) -> Chosen:
    """Return what is best for an account that pledges WBTC."""
    planner = Planner(terms=terms or terms_of(), venues=(), lenders=())
    case = case_with(option_of(WBTC, debt, dollars=20_000))
    ((chosen,), _) = planner.choose_all([case], desk)
    return chosen


def offer_of(chosen: Chosen, more: int, **changes: object) -> SwapOffer:
    """Return an offer that brings so much more than the pools."""
    sale = chosen.trade.sale
    ask = Ask(
        token_in=WBTC,
        token_out=WETH,
        amount_in=sum(part.amount_in for part in sale),
        taker=EXECUTOR,
        fair_out=0,
        decimals=(8, 18),
    )
    offer = SwapOffer(
        source="somebody",
        ask=ask,
        amount_out=sum(part.amount_out for part in sale) + more,
        target=LENDER,
        spender=LENDER,
        data=b"\x01\x02\x03\x04",
        gas=150_000,
        least_gain_bps=0,
    )
    return replace(offer, **changes)


# --- what is asked ---------------------------------------------------------------------------


def test_nothing_is_asked_of_a_trade_that_sells_nothing() -> None:
    """All that is seized buys what is owed where the collateral is the native coin."""
    planner = Planner(terms=terms_of(), venues=(), lenders=())
    case = case_with(option_of(WETH, USDC, dollars=20_000))
    ((chosen,), _) = planner.choose_all([case], DESK)
    assert not chosen.trade.sale
    assert ask_of(chosen, terms_of()) is None


def test_nothing_is_asked_for_what_is_forced_or_where_the_native_coin_has_no_price() -> None:
    chosen, terms = chosen_at(DESK), terms_of()
    assert ask_of(chosen, terms) is not None
    forced = replace(chosen, trade=replace(chosen.trade, forced=True))
    assert ask_of(forced, terms) is None
    assets = {a: v for a, v in VALUATION.assets.items() if a != WETH}
    bare = replace(chosen.case, valuation=replace(VALUATION, assets=assets))
    assert ask_of(replace(chosen, case=bare), terms) is None


def vault() -> VaultBook:
    """Return a vault of DAI whose shares are seized as if they were WBTC."""
    return VaultBook(
        share=WBTC,
        underlying=Underlying(address=DAI, symbol="DAI", unit=10**18),
        gas=100_000,
        curve=Curve(assets=60_000 * 10**10, supply=1),
        most=10**30,
        held=10**30,
    )


REDEEMING = replace(
    desk_of(*markets(DEEP, [(DAI, USDC), (DAI, WETH)])), unwinding=Unwinding(books={WBTC: vault()})
)


def test_an_underlying_that_the_market_does_not_know_is_asked_about_by_its_own_unit() -> None:
    """It is worth what its shares are."""
    chosen, terms = chosen_at(REDEEMING), terms_of()
    assets = {a: v for a, v in VALUATION.assets.items() if a != DAI}
    bare = replace(chosen.case, valuation=replace(VALUATION, assets=assets))
    ask, known = ask_of(replace(chosen, case=bare), terms), ask_of(chosen, terms)
    assert ask is not None
    assert known is not None
    assert replace(ask, fair_out=0) == replace(known, fair_out=0)
    a_share_more = VALUATION.wei_floor(WBTC, 1) + 1
    assert known.fair_out <= ask.fair_out <= known.fair_out + a_share_more


# --- what is taken ---------------------------------------------------------------------------


@pytest.mark.parametrize("more", [10**15, -(10**15)])
def test_what_an_offer_adds_is_not_asked_for_on_chain(more: int) -> None:
    """It may fail, and all be sold locally: what that brings is what the minimum is of."""
    terms = terms_of(limits(tip_bps=1_000, haircut_bps=100))
    chosen = chosen_at(DESK, terms)
    plan = build_plan(chosen.case, DESK, terms, with_offer(chosen, terms, offer_of(chosen, more)))
    local = sum(part.amount_out for part in chosen.trade.sale)
    least = min(local, local + more)
    assert plan.min_profit == -(-(least - plan.tip) * 9_900 // 10_000)


def test_an_offer_is_taken_from_just_what_it_has_to_gain_on() -> None:
    terms = terms_of(limits())
    chosen = chosen_at(DESK, terms)
    sold = sum(part.amount_out for part in chosen.trade.sale)
    even = chosen.trade.net - with_offer(chosen, terms, offer_of(chosen, 0)).net
    for least_bps, needed in ((0, 1), (10_000, sold)):
        for more, is_taken in ((even + needed, True), (even + needed - 1, False)):
            offer = offer_of(chosen, more, least_gain_bps=least_bps)
            taken = best_offered(chosen, terms, [offer])
            assert (taken is not None) is is_taken, (least_bps, more)
            assert taken is None or taken.net == chosen.trade.net + needed


def test_of_several_offers_the_one_of_greatest_net_is_taken() -> None:
    """The one that brings the most takes more gas than it is worth."""
    chosen, terms = chosen_at(DESK), terms_of()
    offers = [
        offer_of(chosen, 2 * 10**15),
        offer_of(chosen, 3 * 10**15),
        offer_of(chosen, 10**16, gas=150_000 + 8 * 10**15 // DESK.gas_price),
    ]
    for some in (offers, offers[::-1]):
        taken = best_offered(chosen, terms, some)
        assert taken is not None
        assert taken.offer == offers[1]


# --- what it costs ---------------------------------------------------------------------------

BY_DAI = markets(DEEP, [(WBTC, USDC), (WBTC, DAI), (DAI, WETH)])
THIN = tuple(
    pool_at_par(*pair, dollars=300_000, fee=fee, number=fee)
    for pair in ((WBTC, WETH), (WBTC, USDC))
    for fee in (100, 500, 3_000)
)
BY_WETH = markets(DEEP, [(WBTC, WETH), (WETH, USDC)])
DESKS = {
    "one pool": (DESK, USDC),
    "two hops": (desk_of(*BY_DAI, intermediates=(DAI,)), USDC),
    "divided": (desk_of(*THIN), USDC),
    "redeemed": (REDEEMING, USDC),
    "repaid out of the sale": (DESK, WETH),
    "bought back out of the sale": (desk_of(*BY_WETH, intermediates=(WETH,)), USDC),
}
"""With what is owed."""


@pytest.mark.parametrize("name", DESKS)
@pytest.mark.parametrize("max_gas_price", [10**12, 5 * 10**9])
def test_an_offer_takes_its_own_gas_and_not_the_sales_and_tip_and_bid_follow_what_it_earns(
    name: str, max_gas_price: int
) -> None:
    terms = terms_of(limits(tip_bps=1_000, bid_bps=2_000, max_gas_price=max_gas_price))
    desk, debt = DESKS[name]
    desk = replace(desk, data_fees=ArbitrumData(wei_per_byte=16 * 10**9, wei_per_gas=10**9))
    chosen, more, price = chosen_at(desk, terms, debt), 10**16, desk.gas_price
    local, taken = chosen.trade, with_offer(chosen, terms, offer_of(chosen, more))
    hops = sum(len(part.path) for part in local.sale)
    saved = hops * GasModel().hop - 150_000 - LEFTOVER_GAS
    assert local.gas_units - taken.gas_units == saved
    data = local.data.gas - taken.data.gas
    assert taken.earned == local.earned + more + (saved + data) * price
    assert taken.tip == taken.earned * 1_000 // BPS
    units, left = taken.gas_units + taken.data.gas, taken.earned - taken.tip
    assert taken.bid == min(left * 2_000 // BPS // units, max_gas_price - desk.fees.max_fee)
    assert taken.net == left - taken.bid * units
    plan = build_plan(chosen.case, desk, terms, taken)
    assert plan.fees.max_fee == desk.fees.max_fee + taken.bid
    assert plan.forecast.tip == plan.tip == taken.tip
    assert plan.forecast.net >= taken.net


@pytest.mark.parametrize("name", DESKS)
@pytest.mark.parametrize("words", [0, 12, 60, 250, 500])
def test_the_size_that_an_offers_data_is_bounded_by_is_that_of_its_plan(
    name: str, words: int
) -> None:
    """A word of calldata takes a byte more in the program, up to 255 of them."""
    desk, debt = DESKS[name]
    desk, terms = replace(desk, data_fees=BYTES), terms_of()
    chosen = chosen_at(desk, debt=debt)
    for steps in (1, 3):
        trade = replace(chosen.trade, steps=chosen.trade.steps * steps)
        several = replace(chosen, trade=trade)
        data = shake_128(name.encode()).digest(4 + 32 * words)
        taken = with_offer(several, terms, offer_of(several, 0, data=data))
        plan = build_plan(chosen.case, desk, terms, taken)
        assert taken.data.gas // 2 < plan.data_cost.gas <= taken.data.gas

"""The published case of two liquidations where one may close half of a debt.

Qin, Zhou, Gamito, Jovanovic and Gervais, "An Empirical Study of DeFi Liquidations" (IMC 2021,
arXiv 2106.06389), on the optimal strategy: Compound, block 11333037, one borrower of DAI. How sure
the figures are: the table (in millions, two decimals) is quoted from memory and was not read in
the paper; it agrees with a public replay of the chain within its rounding. So the arithmetic is
held to a percent of the first step, and the rules that make it are the adapter's, held to the
contracts elsewhere.
"""

import pytest

from keeper.commands.explain import plan_table
from keeper.core.lending import AssetValue, Valuation
from keeper.core.plan import Opportunity, Plan
from keeper.core.text import decimal
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.planner.case import Case, case_of
from keeper.planner.ceiling import Ceilings
from keeper.planner.markets import Markets
from keeper.planner.planner import Planner
from keeper.protocols.compound_v2.adapter import CompoundAdapter
from keeper.protocols.compound_v2.parameters import Parameters
from keeper.protocols.compound_v2.state import Deployment, Position, Risk
from tests.support.compound_market import account, deployment, market, ref, view
from tests.support.lending_desk import (
    ASSETS,
    BLOCK,
    DAI,
    USDC,
    WETH,
    desk_of,
    pool_at_par,
    terms_of,
)

DAI_PRICE = 1_095_299 * 10**12
MILLION = 10**6
COLLATERAL_DAI, COLLATERAL_USDC = 108_510_000, 17_880_000
DEBT_DAI, DEBT_USDC = 93_220_000, 506_640
RISKS = {0: Risk(threshold=75 * WAD // 100, incentive=108 * WAD // 100)}
MARKETS = (market(0, DAI, "DAI", 18, risks=RISKS), market(1, USDC, "USDC", 6, risks=RISKS))
PRICES = {MARKETS[0].token: DAI_PRICE, MARKETS[1].token: 10**30}
VALUATION = Valuation(
    assets={
        **ASSETS,
        DAI: AssetValue(symbol="DAI", price=DAI_PRICE // 10**10, unit=10**18),
    },
    native_price=ASSETS[WETH].price,
)
ADAPTER = CompoundAdapter(
    deployment="compound_v2.ethereum",
    start_block=1,
    parameters=Parameters(comptroller=ref().account, wrapped_native=WETH),
)


def borrower(at: Deployment) -> Position:
    """Return the account of the table."""
    held = {0: COLLATERAL_DAI * 10**18, 1: COLLATERAL_USDC * 10**6}
    tokens = {number: amount * WAD // at.lines[number].rate for number, amount in held.items()}
    return account(tokens, {0: DEBT_DAI * 10**18, 1: DEBT_USDC * 10**6})


@pytest.fixture
def case() -> Case:
    at = view(deployment(MARKETS), PRICES)
    position = borrower(at)
    opportunity = Opportunity(
        ref=ref(),
        block=BLOCK,
        timestamp=BLOCK.timestamp + 12,
        health=ADAPTER.assess(at, position),
        options=tuple(
            one for one in ADAPTER.options(at, position) if (one.collateral, one.debt) == (DAI, DAI)
        ),
        trigger="the oracle's DAI at 1.095299",
    )
    return case_of(ADAPTER, at, position, opportunity=opportunity, valuation=VALUATION)


DESK = desk_of(pool_at_par(DAI, WETH, dollars=10**12), premium_bps=0)


def planned(case: Case) -> Plan:
    found = Planner(terms=terms_of(), venues=(), lenders=()).plan(case, DESK)
    assert isinstance(found, Plan), found
    return found


def test_the_first_step_takes_all_that_does_not_cure_and_the_second_half_of_the_rest(
    case: Case,
) -> None:
    first, second = planned(case).liquidations
    assert first.repay // 10**18 == pytest.approx(296_610, rel=0.01)
    assert second.repay // 10**18 == pytest.approx(46_460_000, rel=0.001)
    shortfall = DEBT_DAI * 1.095299 + DEBT_USDC
    shortfall -= 0.75 * (COLLATERAL_DAI * 1.095299 + COLLATERAL_USDC)
    assert first.repay / 1e18 == pytest.approx(shortfall / 0.19 / 1.095299, rel=2e-3)
    assert second.repay == (DEBT_DAI * 10**18 - first.repay) // 2


def test_it_earns_what_the_paper_says_more_than_one_step_up_to_the_close_factor(
    case: Case,
) -> None:
    plan = planned(case)
    alone = planned(replace(case, after=lambda *_: None))
    profits = [(one.quote.seized - one.quote.repay) / 1e18 for one in (alone, plan)]
    assert alone.liquidations == (alone.quote,)
    assert alone.quote.repay == DEBT_DAI * 10**18 // 2
    assert profits[0] == pytest.approx(3_728_800, rel=1e-6)
    assert profits[1] == pytest.approx(3_740_664, rel=1e-4)
    assert plan.forecast.net > alone.forecast.net


def test_the_ceiling_has_room_for_the_second_step_and_little_more(case: Case) -> None:
    net = planned(case).forecast.net
    for least, may_pay in ((net, True), (net * 101 // 100, True), (4 * net, False)):
        terms = terms_of(replace(terms_of().limits, min_profit=least))
        assert (Ceilings(DESK, terms).refusal(case) is None) == may_pay


def test_one_step_is_kept_where_the_second_does_not_pay_its_gas(case: Case) -> None:
    pool = pool_at_par(DAI, WETH, dollars=10**12)
    desk = desk_of(pool, premium_bps=0)
    dear = replace(desk, base_fee=5 * 10**13, fees=replace(desk.fees, max_fee=10**14))
    terms = terms_of(replace(terms_of().limits, max_gas_price=10**15))
    found = Planner(terms=terms, venues=(), lenders=()).plan(case, dear)
    assert isinstance(found, Plan), found
    assert found.liquidations == (found.quote,)


def test_whoever_comes_next_finds_the_market_as_both_steps_leave_it(case: Case) -> None:
    plan, before = planned(case), view(deployment(MARKETS), PRICES).markets[0].stored
    assert case.market is not None
    seen: list[object] = []

    def placed(found: object) -> Case:
        seen.append(found)
        return case

    markets = Markets()
    markets.take(case, plan.option, plan.liquidations, plan.funding)
    markets.place(replace(case, market=replace(case.market, case=placed)))
    (left,) = seen
    assert isinstance(left, Deployment)
    after = left.markets[0].stored
    assert after.borrows == before.borrows - plan.quote.repay
    assert after.cash == before.cash + plan.quote.repay - plan.quote.received


def test_two_steps_that_come_out_the_same_are_not_planned_anew(case: Case) -> None:
    desk = desk_of(pool_at_par(DAI, WETH, dollars=10**12), premium_bps=0)
    planner = Planner(terms=terms_of(), venues=(), lenders=())
    (chosen,), _ = planner.choose_all([case], desk)
    assert len(chosen.trade.steps) == 2
    (again,), refused = planner.choose_again([chosen], desk)
    assert (again, refused) == (chosen, [])
    assert again is chosen


def test_explain_shows_each_step_and_their_total(case: Case) -> None:
    plan = planned(case)
    titles, _, repaid, received = (list(one.cells) for one in plan_table(plan).columns)
    at = titles.index("liquidate, 1 of 2")
    assert titles[at : at + 3] == ["liquidate, 1 of 2", "liquidate, 2 of 2", "liquidated in all"]
    quotes = (*plan.liquidations, plan.quote)
    assert repaid[at : at + 3] == [f"{decimal(one.repay, 10**18, 6)} DAI" for one in quotes]
    assert received[at : at + 3] == [f"{decimal(one.received, 10**18, 6)} DAI" for one in quotes]


def test_explain_shows_one_step_once(case: Case) -> None:
    plan = planned(replace(case, after=lambda *_: None))
    titles = list(plan_table(plan).columns[0].cells)
    assert [one for one in titles if str(one).startswith("liquidate")] == ["liquidate"]

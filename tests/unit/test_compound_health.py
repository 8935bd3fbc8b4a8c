"""Which of an account's markets are accrued, and what that makes of it."""

import pytest

from keeper.core.errors import StaleError
from keeper.core.units import MAX_UINT256, WAD
from keeper.core.values import replace
from keeper.protocols.compound_v2.health import accrued_at, assess, shortfall, vai_shortfall
from keeper.protocols.compound_v2.liquidation import options, seize
from keeper.protocols.compound_v2.refusals import MarketRefusedError, Refusal
from keeper.protocols.compound_v2.state import Action, Pool, Risk
from tests.support.compound_market import (
    BLOCK,
    MARKETS,
    PRICES,
    THROUGH,
    TOKENS,
    account,
    deployment,
    vai,
    view,
)

RATE = 10**10


def interest(*numbers: int, **changed: object):
    """Return a deployment where those markets have interest to accrue."""
    markets = tuple(replace(one, rate=RATE) if one.number in numbers else one for one in MARKETS)
    return deployment(markets, **changed)


def near(dollars_below: int, **changed: object):
    """Return an account of 10 ether, worth 16,000 weighted, owing dollars and bitcoin of that."""
    owed = 16_000 * 10**6 - dollars_below
    half = owed // 2
    return account(
        {0: 10 * 10**18 * WAD // RATE_0}, {1: half, 2: half * 10**2 // 30_000}, **changed
    )


RATE_0 = (
    (MARKETS[0].stored.cash + MARKETS[0].stored.borrows - MARKETS[0].stored.reserves)
    * WAD
    // MARKETS[0].stored.supply
)


def test_a_debt_market_that_is_not_repaid_is_judged_as_stored():
    of = interest(2)
    position = near(10)
    seen = view(of)
    assert shortfall(view(deployment()), position, (0, 1)).value <= 0
    found = shortfall(seen, position, (0, 1))
    assert found.value > 0
    assert found.accrue == (2,)


def test_nothing_is_accrued_first_that_does_not_help():
    of = interest(0, 1)
    position = near(10)
    found = shortfall(view(of), position, (1, 2))
    assert 0 not in found.accrue


def test_nothing_is_accrued_first_where_there_is_a_shortfall_already():
    of = interest(2)
    position = near(-(10**8))
    assert shortfall(view(of), position, (0, 1)).accrue == ()


def test_the_quote_names_the_markets_to_accrue_first():
    seen, position = view(interest(2)), near(10)
    chosen = [one for one in options(seen, position) if one.key == f"{TOKENS[0]}:{TOKENS[1]}"]
    assert seize(seen, position, chosen[0], chosen[0].max_repay).inputs == (2,)


def test_an_account_is_liquidatable_if_any_pair_is():
    seen, position = view(interest(2)), near(10)
    assert assess(seen, position).liquidatable
    assert not assess(view(deployment()), position).liquidatable


def test_interest_runs_by_block():
    seen, later = view(interest(2)), view(interest(2), block=BLOCK + 1_000)
    position = near(10**6)
    assert assess(later, position).debt_base > assess(seen, position).debt_base


def test_a_pool_of_its_own_judges_its_markets():
    kinder = Risk(threshold=95 * WAD // 100, incentive=WAD)
    markets = (replace(MARKETS[0], risks={**MARKETS[0].risks, 1: kinder}), *MARKETS[1:])
    of = deployment(markets, pools={1: Pool(active=True, falls_back=True)})
    position = near(-(10**9))
    assert assess(view(of), position).liquidatable
    assert not assess(view(of), replace(position, pool=1)).liquidatable


def test_a_pool_without_fallback_gives_unlisted_collateral_no_weight():
    of = deployment(pools={1: Pool(active=True, falls_back=False)})
    position = near(10**9)
    assert not assess(view(of), position).liquidatable
    assert assess(view(of), replace(position, pool=1)).liquidatable


def test_collateral_that_the_pool_does_not_list_is_seized_by_nobody():
    listed = Risk(threshold=8 * WAD // 10, incentive=11 * WAD // 10)
    first = replace(MARKETS[0], risks={**MARKETS[0].risks, 1: listed})
    pools = {1: Pool(active=True, falls_back=False)}
    of = deployment((first, *MARKETS[1:]), pools=pools, liquidator=THROUGH)
    position = account({0: 10**10, 2: 10**8}, {1: 10**12}, pool=1)
    assert {one.key for one in options(view(of), position)} == {f"{TOKENS[0]}:{TOKENS[1]}"}


def test_a_market_older_than_pools_asks_for_the_core_pools_incentive():
    less = Risk(threshold=8 * WAD // 10, incentive=102 * WAD // 100)
    first = replace(MARKETS[0], risks={**MARKETS[0].risks, 1: less})
    pools = {1: Pool(active=True, falls_back=True)}
    position = near(-(10**9), pool=1)
    new = view(deployment((first, *MARKETS[1:]), pools=pools))
    older = (first, replace(MARKETS[1], names_borrower=False), MARKETS[2])
    old = view(deployment(older, pools=pools))
    option = next(one for one in options(new, position) if one.key == f"{TOKENS[0]}:{TOKENS[1]}")
    taken = [seize(seen, position, option, 10**9).seized for seen in (new, old)]
    assert taken[0] * 110 // 102 == pytest.approx(taken[1], rel=1e-9)


def test_an_inactive_pool_is_the_core_pool():
    of = deployment(pools={1: Pool(active=False, falls_back=False)})
    position = near(10**9)
    assert not assess(view(of), replace(position, pool=1)).liquidatable


def test_vai_counts_as_a_dollar_and_grows_by_block():
    of = deployment(liquidator=THROUGH, vai=vai(rate=10**12))
    position = near(10**6, vai_minted=10**18, vai_index=WAD)
    assert assess(view(of), near(10**6)).debt_base + 10**18 == assess(view(of), position).debt_base
    later = assess(view(of, block=BLOCK + 1_000), position)
    assert later.debt_base > assess(view(of), position).debt_base


def test_owing_exactly_what_the_collateral_weighs_is_healthy():
    """``shortfall`` is what is owed beyond that: liquidated is who has some."""
    seen = view(deployment(vai=vai()))
    weighed = -shortfall(seen, account({0: 10**11}, {}), (0,)).value
    for owed, under in ((weighed, False), (weighed + 1, True)):
        position = account({0: 10**11}, {}, vai_minted=owed, vai_index=WAD)
        assert vai_shortfall(seen, position, 0).value == owed - weighed
        assert assess(seen, position).liquidatable is under
        assert bool(options(seen, position)) is under


def test_what_is_exactly_enough_as_stored_is_accrued_first():
    seen = view(interest(2, vai=vai()))
    spare = -shortfall(seen, account({0: 10**11}, {2: 10**7}), (0,)).value
    assert spare > 0
    position = account({0: 10**11}, {2: 10**7}, vai_minted=spare, vai_index=WAD)
    found = shortfall(seen, position, (0,))
    assert found.value > 0
    assert found.accrue == (2,)


def test_only_vai_is_a_debt_too():
    of = deployment(liquidator=THROUGH, vai=vai())
    position = account({}, {}, vai_minted=10**18, vai_index=WAD)
    health = assess(view(of), position)
    assert health.liquidatable
    assert health.health_factor == 0
    assert options(view(of), position) == ()


def test_without_debt_health_is_unlimited():
    assert assess(view(), account({0: 10**10}, {})).health_factor == MAX_UINT256


def test_a_missing_price_is_never_taken_for_another():
    without = {token: price for token, price in PRICES.items() if token != TOKENS[2]}
    with pytest.raises(StaleError, match="WBTC"):
        assess(view(prices=without), near(10))
    with pytest.raises(StaleError):
        assess(view(prices={**PRICES, TOKENS[2]: 0}), near(10))


def test_a_paused_redemption_leaves_nothing_to_do():
    markets = (replace(MARKETS[0], paused=frozenset({Action.REDEEM})), *MARKETS[1:])
    position = near(-(10**9))
    assert options(view(deployment(markets)), position) == ()


def test_what_cannot_be_redeemed_is_not_repaid():
    little = replace(MARKETS[0].stored, cash=10**18)
    kept = replace(little, borrows=little.borrows + MARKETS[0].stored.cash - little.cash)
    markets = (replace(MARKETS[0], stored=kept), *MARKETS[1:])
    seen, position = view(deployment(markets)), near(-(10**9))
    (first, *_) = options(seen, position)
    assert seize(seen, position, first, first.max_repay).seized <= 10**18
    with pytest.raises(MarketRefusedError, match=Refusal.ILLIQUID.value):
        seize(seen, position, first, first.max_repay + 10**6)


def test_a_reserve_about_to_be_paid_out_is_no_cash():
    stored = replace(MARKETS[0].stored, cash=10**18, reserves=10**18 - 10**15)
    kept = replace(stored, borrows=MARKETS[0].stored.borrows * 3)
    due = (replace(MARKETS[0], stored=kept, sheds_at=BLOCK), *MARKETS[1:])
    later = (replace(MARKETS[0], stored=kept, sheds_at=BLOCK + 1), *MARKETS[1:])
    assert view(deployment(due)).lines[0].cash == 10**15
    assert view(deployment(later)).lines[0].cash == 10**18


def test_reserves_are_paid_out_once_in_a_block_and_as_far_as_there_is_cash():
    for cash, reserves, paid in ((10**18, 10**15, 10**15), (10**15, 10**18, 10**15)):
        stored = replace(MARKETS[0].stored, cash=cash, reserves=reserves)
        due = replace(MARKETS[0], stored=stored, sheds_at=BLOCK)
        seen = view(deployment((due, *MARKETS[1:])))
        after = accrued_at(seen, due)
        assert (after.cash, after.reserves) == (cash - paid, reserves - paid)
        again = replace(due, stored=replace(after, reserves=10**9), accrued_at=BLOCK)
        assert accrued_at(seen, again) == again.stored

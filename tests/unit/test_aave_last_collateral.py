"""Taking all of a collateral: what is offered for it by release, and whether bad debt is left."""

import pytest

from keeper.core.units import MAX_UINT256, RAY
from keeper.core.values import replace
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.case import case_of, leaves_no_collateral
from keeper.protocols.aave_v3.health import assess
from keeper.protocols.aave_v3.liquidation import options, seize
from keeper.protocols.aave_v3.parameters import Parameters
from keeper.protocols.aave_v3.revision import V3_2, V3_3, V3_5, V3_6, V3_7
from keeper.protocols.aave_v3.seizing import Seizure, available_collateral
from tests.support.aave_market import (
    NOW,
    PAIR,
    POOL,
    PRICES,
    PROVIDER,
    RESERVES,
    SICK,
    USD,
    USDC,
    WETH,
    account,
    changed,
    dollars,
    market,
    ref,
)


def short_of_collateral(rules):
    view = market(rules, prices={**PRICES, WETH: 1_000 * USD + 7})
    return view, account({0: 10**18 + 3}, {1: dollars(5_000)})


def test_up_to_3_2_a_quote_offers_what_the_pool_takes():
    view, poor = short_of_collateral(V3_2)
    quote = seize(view, poor, PAIR, MAX_UINT256)
    assert quote.offer is None
    assert seize(view, poor, PAIR, quote.repay) == quote


def test_since_3_3_a_quote_offers_more_than_what_takes_all():
    view, poor = short_of_collateral(V3_5)
    quote = seize(view, poor, PAIR, MAX_UINT256)
    assert quote.seized == 10**18 + 3
    assert quote.headroom > 0
    assert quote.offer == quote.repay + quote.headroom < dollars(5_000)


@pytest.mark.parametrize("collateral", [10**18 + 3, 10 * 10**18])
def test_since_3_3_what_is_to_go_whole_goes_whole_minutes_later_too(collateral):
    reserves = tuple(
        replace(one, liquidity_rate=10**27, variable_rate=3 * 10**27) for one in RESERVES
    )
    prices = {**PRICES, WETH: 500 * USD}
    view = market(V3_5, reserves, prices=prices)
    poor = account({0: collateral}, {1: dollars(5_000)})
    quote = seize(view, poor, PAIR, MAX_UINT256)
    for seconds in (1, 12, 60, 600):
        later = market(V3_5, reserves, prices=prices, timestamp=NOW + seconds)
        taken = seize(later, poor, PAIR, quote.offer)
        assert quote.repay < taken.repay <= quote.repay + quote.headroom
        assert taken.headroom > 0


def test_since_3_3_a_part_is_offered_as_it_is():
    (option,) = options(market(V3_5), SICK)
    quote = seize(market(V3_5), SICK, option, option.max_repay // 3)
    assert (quote.offer, quote.headroom) == (None, 0)


def test_the_offer_is_what_is_called_with_and_the_repaid_with_headroom_what_is_allowed():
    view, poor = short_of_collateral(V3_5)
    (option,) = options(view, poor)
    quote = seize(view, poor, option, option.max_repay)
    adapter = AaveAdapter(
        deployment="aave_v3.test",
        start_block=0,
        parameters=Parameters(addresses_provider=PROVIDER),
    )
    (call,) = adapter.calls(view, ref(), option, quote, POOL)
    assert int.from_bytes(call.data[4 + 96 : 4 + 128], "big") == quote.offer
    assert (call.target, call.token, call.spender) == (POOL, USDC, POOL)
    assert call.amount == quote.repay + quote.headroom


@pytest.mark.parametrize("rules", [V3_3, V3_5, V3_7])
def test_taking_the_last_collateral_leaves_bad_debt(rules):
    view, poor = short_of_collateral(rules)
    case = case_of(view, poor, view.reserves[0], view.reserves[1], assess(view, poor))
    everything = available_collateral(rules, case.pair, dollars(5_000))
    part = available_collateral(rules, case.pair, dollars(100))
    assert leaves_no_collateral(rules, case, everything)
    assert not leaves_no_collateral(rules, case, part)


@pytest.mark.parametrize(("rules", "nothing_left"), [(V3_6, False), (V3_7, True)])
def test_since_3_7_the_last_collateral_is_what_burning_takes(rules, nothing_left):
    # Balances are thrice what is scaled: burning 31 and 91 takes 11 and 31, which is all 42.
    reserves = changed(0, unit=1, liquidity_index=3 * RAY)
    view = market(rules, reserves, prices={**PRICES, WETH: USD})
    poor = account({0: 42}, {1: dollars(5_000)})
    case = case_of(view, poor, view.reserves[0], view.reserves[1], assess(view, poor))
    assert case.pair.balance == 126
    seizure = Seizure(net=31, repay=dollars(100), fee=91)
    assert leaves_no_collateral(rules, case, seizure) is nothing_left


def test_other_collateral_left_is_no_bad_debt():
    view, _ = short_of_collateral(V3_5)
    poor = account({0: 10**18 + 3, 2: 10**6}, {1: dollars(5_000)})
    case = case_of(view, poor, view.reserves[0], view.reserves[1], assess(view, poor))
    everything = available_collateral(V3_5, case.pair, dollars(5_000))
    assert not leaves_no_collateral(V3_5, case, everything)

"""Laws of health, prices and logs that every adapter obeys, whatever the protocol."""

from collections.abc import Iterable

import pytest

from keeper.core.chain import Log
from keeper.core.errors import StaleError
from keeper.core.lending import Leg
from keeper.core.units import MAX_UINT256, Hash32
from tests.conformance.case import Case
from tests.conformance.gathered import STRANGER, each_case, offered


def moved(before: Iterable[Leg], after: Iterable[Leg]) -> bool:
    """Return whether a price of the legs changed."""
    return any(a.price != b.price for a, b in zip(before, after, strict=True))


@each_case
def test_the_case_has_accounts_of_every_kind(case: Case):
    view = case.view()
    found = [case.adapter.assess(view, one) for one in case.positions.values()]
    assert any(one.liquidatable for one in found)
    assert any(not one.liquidatable and one.debt_base for one in found)
    assert any(not one.debt_base for one in found)
    assert len(list(offered(case, view))) > 5


@each_case
def test_a_view_of_a_view_is_the_view(case: Case):
    once = case.view()
    again = case.at(case.prices, market=once)
    elsewhere = case.at({}, market=case.view(later_s=999))
    back = case.at(case.prices, market=elsewhere)
    for position in case.positions.values():
        expected = case.adapter.assess(once, position)
        assert case.adapter.assess(again, position) == expected
        assert case.adapter.assess(back, position) == expected


@each_case
def test_health_is_unlimited_exactly_without_debt(case: Case):
    view = case.view()
    for position in case.positions.values():
        health = case.adapter.assess(view, position)
        assert case.adapter.has_debt(view, position) == (health.debt_base > 0)
        assert (health.health_factor == MAX_UINT256) == (health.debt_base == 0)


@each_case
def test_a_dearer_collateral_never_hurts_and_a_dearer_debt_never_helps(case: Case):
    view = case.view()
    for position in case.positions.values():
        before = case.adapter.assess(view, position)
        legs = case.adapter.legs(view, position)
        for feed in case.prices:
            dearer = case.view(case.repriced(feed, 12_345))
            after = case.adapter.assess(dearer, position)
            changed = case.adapter.legs(dearer, position)
            in_debt = moved(legs.debt, changed.debt)
            in_collateral = moved(legs.collateral, changed.collateral)
            if in_debt and not in_collateral:
                assert after.health_factor <= before.health_factor
            elif in_collateral and not in_debt and len(legs.collateral) == 1:
                assert after.health_factor >= before.health_factor


@each_case
def test_an_unneeded_price_changes_nothing(case: Case):
    view = case.view()
    for position in case.positions.values():
        needed = case.adapter.feeds_of(view, position)
        before = case.adapter.assess(view, position)
        for feed in case.prices.keys() - needed:
            others = {one: price for one, price in case.prices.items() if one != feed}
            without = case.at(others)
            assert case.adapter.assess(without, position) == before


@each_case
def test_a_missing_price_is_never_taken_for_another(case: Case):
    view = case.view()
    checked = 0
    for position in case.positions.values():
        for feed in case.adapter.feeds_of(view, position):
            others = {one: price for one, price in case.prices.items() if one != feed}
            without = case.at(others)
            with pytest.raises(StaleError):
                case.adapter.assess(without, position)
            checked += 1
    assert checked > 10


@each_case
def test_every_asset_that_moves_has_a_value(case: Case):
    view = case.view()
    for ref, _, option in offered(case, view):
        values = case.adapter.asset_values(view, ref.market)
        for asset in (option.collateral, option.debt):
            assert values[asset].price > 0
            assert values[asset].unit > 0


@each_case
def test_debt_only_grows_with_time(case: Case):
    for position in case.positions.values():
        debts = [
            case.adapter.assess(case.view(later_s=wait), position).debt_base
            for wait in (0, 12, 86_400, 31_536_000)
        ]
        assert debts == sorted(debts)


@each_case
def test_feeds_are_distinct_and_cover_every_account(case: Case):
    feeds = [one.id for one in case.adapter.feeds(case.market)]
    assert len(set(feeds)) == len(feeds)
    for position in case.positions.values():
        assert case.adapter.feeds_of(case.market, position) <= set(feeds)


@each_case
def test_discovery_asks_for_no_more_than_following_does(case: Case):
    discovery = case.adapter.discovery_filter(case.market)
    following = case.adapter.log_filter(case.market)
    assert discovery.addresses <= following.addresses
    assert discovery.topics <= following.topics


@each_case
def test_logs_of_others_touch_nothing(case: Case):
    wanted = case.adapter.log_filter(case.market)
    word = Hash32("0x" + "00" * 12 + "ab" * 20)
    logs = [
        Log(
            address=STRANGER,
            topics=(topic, word, word, word),
            data=bytes(256),
            block_number=1,
            block_hash=Hash32("0x" + "11" * 32),
            tx_hash=Hash32("0x" + "22" * 32),
            index=number,
        )
        for number, topic in enumerate(sorted(wanted.topics))
    ]
    for given in ([], logs):
        touched = case.adapter.touched(case.market, given)
        assert (touched.accounts, touched.parts, touched.structure) == (
            frozenset(),
            frozenset(),
            False,
        )
        assert case.adapter.decode(case.market, given) == ()

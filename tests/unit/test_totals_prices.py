"""Budgets over all chains are in dollars: at what price each coin counts, and when at none."""

from types import SimpleNamespace

import pytest

from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.units import WAD
from keeper.executor.flight import Flight
from keeper.executor.totals import CoinPrice, TotalLimits, Totals
from tests.support.ledger_records import block
from tests.support.shared_totals import DOLLAR_A_PLAN, NOW, PLAN, WORST, ended, never, two_chains
from tests.support.signed_plans import signed


def test_each_coin_counts_at_its_own_price():
    _, one, two = two_chains(TotalLimits(max_gas_per_day=10 * WAD))
    one.price = CoinPrice(value=9 * DOLLAR_A_PLAN, read=NOW)
    one.note(ended("a", WORST))
    assert len(two.admit([PLAN, PLAN])[0]) == 1


def test_a_price_that_was_not_read_lately_is_not_known():
    _, one, _ = two_chains(TotalLimits(max_gas_per_day=10 * WAD))
    one.price = None
    assert one.admit([PLAN])[1][0].detail == (
        "totals: expected a price of one's coin for gas in USD, found none yet"
    )
    one.price = CoinPrice(value=DOLLAR_A_PLAN, read=NOW - 3_600)
    assert one.admit([PLAN])[0] == [PLAN]
    one.release()
    one.price = CoinPrice(value=DOLLAR_A_PLAN, read=NOW - 3_601)
    assert "found one of 3601 s ago" in one.admit([PLAN])[1][0].detail
    assert one.left() == 0


async def test_a_price_of_a_clock_that_was_ahead_is_not_known_and_is_read_again():
    time, head = [NOW + 7_200], block(100)
    totals = Totals(TotalLimits(max_gas_per_day=10 * WAD), now=lambda: time[0])
    one = totals.share("one")

    async def price_at(_: object) -> int:
        return DOLLAR_A_PLAN

    one.opened(Flight(), price_at)
    await one.look(head)
    time[0] = NOW
    (rejection,) = one.admit([PLAN])[1]
    assert "found one of -7200 s ago" in rejection.detail
    await one.look(head)
    assert one.price == CoinPrice(value=DOLLAR_A_PLAN, read=NOW)
    assert len(one.admit([PLAN])[0]) == 1


def test_a_chain_that_spent_what_nobody_can_value_stops_the_others():
    """Its cost must not look like nothing."""
    _, one, two = two_chains(TotalLimits(max_gas_per_day=10 * WAD))
    one.price = None
    assert two.admit([PLAN])[0] == [PLAN]
    one.note(ended("a", 1))
    assert two.admit([PLAN])[1][0].detail == (
        "totals: expected a price of one's coin, which has spent, found none"
    )


def test_what_a_chain_spent_and_has_at_stake_never_make_up_for_each_other():
    _, one, two = two_chains(TotalLimits(max_gas_per_day=10 * WAD))
    flight = Flight()
    flight.took_off(PLAN, signed(PLAN, 5))
    one.opened(flight, never)
    one.note(ended("a", WORST))
    one.price = None
    assert "one's coin, which has spent" in two.admit([PLAN])[1][0].detail


def test_a_chain_that_has_at_stake_what_nobody_can_value_stops_the_others():
    _, one, two = two_chains(TotalLimits(max_gas_per_day=10 * WAD))
    one.price = None
    flight = Flight()
    flight.took_off(PLAN, signed(PLAN, 5))
    one.opened(flight, never)
    assert "one's coin, which has spent" in two.admit([PLAN])[1][0].detail
    flight.landed(PLAN.id)
    assert two.admit([PLAN])[0] == [PLAN]


def test_what_a_chain_spent_that_nobody_can_value_is_forgiven_after_a_day():
    clock = SimpleNamespace(now=NOW)
    _, one, two = two_chains(TotalLimits(max_gas_per_hour=10 * WAD), clock=lambda: clock.now)
    one.note(ended("a", 1))
    one.price = None
    for seconds, found in ((86_400, []), (1, [PLAN])):
        clock.now += seconds
        two.price = CoinPrice(value=DOLLAR_A_PLAN, read=clock.now)
        assert two.admit([PLAN])[0] == found


def test_nothing_is_worth_nothing_at_any_price_and_all_else_is_rounded_up():
    _, one, _ = two_chains(TotalLimits(max_gas_per_day=WAD))
    one.price = CoinPrice(value=WAD // 2, read=NOW)
    assert [one.dollars(wei) for wei in (0, 1, 2, 3)] == [0, 1, 1, 2]
    one.price = None
    assert (one.dollars(0), one.dollars(1)) == (0, None)


def test_the_last_price_of_a_chain_that_is_away_still_counts():
    _, one, two = two_chains(TotalLimits(max_gas_per_day=2 * WAD))
    one.price = CoinPrice(value=DOLLAR_A_PLAN, read=NOW - 50_000)
    one.note(ended("a", WORST))
    assert len(two.admit([PLAN, PLAN])[0]) == 1


def test_without_money_budgets_no_price_is_needed_or_read():
    totals, one, _ = two_chains(TotalLimits(max_in_flight=2))
    one.price = None
    assert not totals.counts_money
    assert one.admit([PLAN])[0] == [PLAN]
    assert one.left() is None


async def test_a_price_is_read_once_a_minute_and_kept_when_it_cannot_be():
    clock, asked = SimpleNamespace(now=NOW), []
    totals = Totals(TotalLimits(max_gas_per_day=WAD), now=lambda: clock.now)
    share = totals.share("one")

    async def price_at(head: object) -> int | None:
        asked.append(head)
        if len(asked) == 2:
            raise TransientError("no answer")
        return 7 if len(asked) == 1 else None

    share.opened(Flight(), price_at)
    for seconds, times in ((0, 1), (59, 1), (1, 2), (1, 3)):
        clock.now += seconds
        await share.look(block(1))
        assert len(asked) == times
    assert share.price == CoinPrice(value=7, read=NOW)


async def test_a_price_of_this_second_is_not_read_again():
    _, one, _ = two_chains(TotalLimits(max_gas_per_day=WAD))
    await one.look(block(1))  # of ``never``
    assert one.price == CoinPrice(value=DOLLAR_A_PLAN, read=NOW)


def test_a_clock_may_be_set_back_by_as_much_as_lies_between_two_looks():
    _, one, _ = two_chains(TotalLimits(max_gas_per_day=WAD))
    one.price = CoinPrice(value=DOLLAR_A_PLAN, read=NOW + 60)
    assert one.has_room([PLAN])
    one.price = CoinPrice(value=DOLLAR_A_PLAN, read=NOW + 61)
    assert not one.has_room([PLAN])


@pytest.mark.parametrize("error", [TransientError("x"), StaleError("x"), RefusedError("x")])
async def test_a_price_that_cannot_be_read_stops_nobody(error):
    share = Totals(TotalLimits(max_gas_per_hour=WAD), now=lambda: NOW).share("one")

    async def price_at(_: object) -> int | None:
        raise error

    await share.look(block(1))
    share.opened(Flight(), price_at)
    await share.look(block(1))
    assert share.price is None


async def test_a_price_is_read_for_a_budget_of_money_alone():
    _, one, _ = two_chains(TotalLimits(max_in_flight=2))
    one.price = None
    await one.look(block(1))
    assert not one.needs_price
    assert one.price is None
    assert two_chains(TotalLimits(max_gas_per_hour=WAD))[1].needs_price
    assert two_chains(TotalLimits(max_gas_per_day=WAD))[1].needs_price

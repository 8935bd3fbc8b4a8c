"""What is no price to act on, figure by figure."""

import pytest

from keeper.oracle.chainlink import Round
from keeper.oracle.guards import (
    Hold,
    SpikeRule,
    age_problem,
    bound_problem,
    clock_problem,
    deviation_problem,
    sequencer_problem,
    spike_after,
    spike_problem,
    value_problem,
)
from keeper.oracle.second_source import price_of_tick

RULE = SpikeRule(most_bps=3_000, pause_blocks=5)
ONE = 1 << 256


@pytest.mark.parametrize("value", [0, -1, -(2**255)])
def test_zero_and_negative_are_no_prices(value: int) -> None:
    assert value_problem("WETH", value) == f"WETH: expected a positive price, found {value}"


def test_any_positive_value_is_a_price() -> None:
    assert value_problem("WETH", 1) is None


def test_an_answer_is_stale_one_second_past_its_heartbeat() -> None:
    assert age_problem("WETH", 1_000, 60, 1_060) is None
    found = age_problem("WETH", 1_000, 60, 1_061)
    assert found == "WETH: expected an update within 60 s, found 61 s"


def test_an_answer_at_a_bound_is_none_and_one_inside_is() -> None:
    assert bound_problem("LUNA", 10, low=10, high=10**6) is not None
    assert bound_problem("LUNA", 9, low=10, high=10**6) is not None
    assert bound_problem("LUNA", 11, low=10, high=10**6) is None
    assert bound_problem("LUNA", 10**6 - 1, low=10, high=10**6) is None
    assert bound_problem("LUNA", 10**6, low=10, high=10**6) is not None


def test_an_aggregator_without_bounds_has_none_to_be_at() -> None:
    assert bound_problem("WETH", 1, low=None, high=None) is None


def test_a_price_may_be_as_far_from_the_second_as_allowed_and_no_further() -> None:
    def found(value: int) -> str | None:
        return deviation_problem("WETH", value, 10_000, where="a pool", most_bps=200)

    assert found(10_200) is None
    assert found(9_800) is None
    assert found(10_201) == "WETH: expected 10000 within 2 % (a pool), found 10201"
    assert found(9_799) is not None


def test_a_missing_multiplication_is_far_from_any_second_source() -> None:
    """A staked token at its ratio (1.12) in place of its price (2,200)."""
    found = deviation_problem("cbETH", 112_000_000, 2_200_00000000, where="x", most_bps=500)
    assert found is not None


def test_a_second_price_of_zero_is_no_second_price() -> None:
    found = deviation_problem("WETH", 5, 0, where="feed 0x1", most_bps=200)
    assert found == "WETH: expected a second price from feed 0x1, found 0"


def test_a_leap_is_held_from_the_price_before_it() -> None:
    assert spike_after(RULE, 1_300, 1_000, None, 7) is None
    assert spike_after(RULE, 1_301, 1_000, None, 7) == Hold(reference=1_000, since=7)
    assert spike_after(RULE, 699, 1_000, None, 7) == Hold(reference=1_000, since=7)


def test_a_price_that_comes_back_is_held_no_more() -> None:
    hold = Hold(reference=1_000, since=7)
    assert spike_after(RULE, 500, 500, hold, 8) == hold
    assert spike_after(RULE, 990, 500, hold, 8) is None


def test_a_price_that_stays_is_believed_after_the_pause() -> None:
    hold = Hold(reference=1_000, since=7)
    assert spike_after(RULE, 500, 500, hold, 11) == hold
    assert spike_after(RULE, 500, 500, hold, 12) is None


def test_a_first_price_has_nothing_to_leap_from() -> None:
    assert spike_after(RULE, 10**30, None, None, 7) is None


def test_a_leap_says_from_when_until_when_and_how_far() -> None:
    said = spike_problem("WETH", RULE, 495, Hold(reference=1_000, since=7))
    assert "at most 30 % in a block, found -50.50 % in block 7" in said
    assert "not acted on before block 12" in said


def status(answer: int, started_at: int) -> Round:
    return Round(answer=answer, started_at=started_at, updated_at=started_at, phase=1)


def test_a_sequencer_must_be_up_and_have_been_for_longer_than_its_grace() -> None:
    assert sequencer_problem(status(0, 1_000), 60, 1_061) is None
    assert sequencer_problem(status(0, 1_000), 60, 1_060) is not None
    found = sequencer_problem(status(1, 1_000), 60, 9_999)
    assert found == "sequencer: expected it up, found it down since 1000"


def test_an_uptime_feed_that_says_nothing_is_not_taken_for_up() -> None:
    assert sequencer_problem(None, 60, 9_999) is not None
    assert sequencer_problem(status(0, 0), 60, 9_999) is not None


def test_a_head_is_judged_by_our_clock_both_ways() -> None:
    def found(timestamp: int) -> str | None:
        return clock_problem(timestamp, 10_000, most_age_s=60, most_lead_s=30)

    assert found(9_940) is None
    assert found(10_030) is None
    assert found(9_939) == ("head: expected one of the last 60 s by our clock, found it 61 s old")
    assert found(10_031) == "head: expected at most 30 s ahead of our clock, found 31 s"


@pytest.mark.parametrize("tick", [0, 1, -1, 200_311, -200_311, 500_000])
def test_a_ticks_price_is_the_power_that_uniswap_defines(tick: int) -> None:
    exact = 10_001 ** abs(tick) * ONE // 10_000 ** abs(tick)
    if tick < 0:
        exact = ONE * ONE // exact
    assert abs(price_of_tick(tick) - exact) * 10**30 <= exact

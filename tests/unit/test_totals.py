"""Budgets over all chains: what is spent, at stake and reserved anywhere counts."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.app.totals import totals_of
from keeper.config.totals import TotalSettings
from keeper.core.errors import ConfigError
from keeper.core.lending import Reason
from keeper.core.plan import Companion
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.totals import CoinPrice, TotalLimits, Totals
from tests.support.canon_chain import INTENT, Chain, in_block
from tests.support.ledger_records import hash32
from tests.support.shared_totals import DOLLAR_A_PLAN, NOW, PLAN, WORST, ended, never, two_chains
from tests.support.signed_plans import signed


def test_what_is_taken_of_each_total_can_be_shown_and_what_nobody_knows_is_unknown():
    limits = TotalLimits(max_in_flight=3, max_gas_per_hour=2 * WAD, max_gas_per_day=5 * WAD)
    _, one, two = two_chains(limits)
    one.admit([PLAN])
    two.note(ended("earlier", WORST // 4))
    shown = {
        "in flight": ("1", "3"),
        "gas in an hour": ("1.25 USD", "2.00 USD"),
        "gas in a day": ("1.25 USD", "5.00 USD"),
    }
    assert one.used() == two.used() == shown
    two.price = None
    assert one.used()["gas in an hour"] == ("unknown", "2.00 USD")
    assert Totals(TotalLimits(), now=lambda: NOW).share("alone").used() == {}


def test_the_cap_in_flight_is_of_all_chains_together():
    _, one, two = two_chains(TotalLimits(max_in_flight=3))
    assert len(one.admit([PLAN, PLAN])[0]) == 2
    admitted, rejected = two.admit([PLAN, PLAN])
    assert len(admitted) == 1
    assert [one.reason for one in rejected] == [Reason.POLICY]
    assert rejected[0].detail == "3 in flight on all chains, the cap is 3"
    assert (rejected[0].ref, rejected[0].net_wei) == (PLAN.ref, PLAN.forecast.net)


def test_what_one_chain_reserved_is_not_there_for_the_other():
    _, one, two = two_chains(TotalLimits(max_gas_per_day=2 * WAD))
    assert len(one.admit([PLAN, PLAN, PLAN])[0]) == 2
    admitted, (rejection,) = two.admit([PLAN])
    assert admitted == []
    assert rejection.detail == ("gas in a day on all chains: 3.00 USD at most, the cap is 2.00 USD")
    one.release()
    assert len(two.admit([PLAN])[0]) == 1


def test_what_is_in_flight_counts_where_it_flies():
    _, one, two = two_chains(TotalLimits(max_gas_per_hour=WAD))
    flight = Flight()
    flight.took_off(PLAN, signed(PLAN, 5))
    one.opened(flight, never)
    assert two.admit([PLAN])[0] == []
    flight.landed(PLAN.id)
    assert two.admit([PLAN])[0] == [PLAN]


def test_gas_counts_for_an_hour_and_for_a_day():
    clock = SimpleNamespace(now=NOW)
    limits = TotalLimits(max_gas_per_hour=2 * WAD, max_gas_per_day=3 * WAD)
    _, one, two = two_chains(limits, clock=lambda: clock.now)
    one.note(ended("a", 2 * WORST))
    assert "in an hour" in two.admit([PLAN])[1][0].detail
    clock.now += 3_600 + 1
    one.price = two.price = CoinPrice(value=DOLLAR_A_PLAN, read=clock.now)
    assert "in a day" in two.admit([PLAN, PLAN])[1][0].detail
    two.release()
    clock.now += 86_400
    one.price = two.price = CoinPrice(value=DOLLAR_A_PLAN, read=clock.now)
    assert len(two.admit([PLAN, PLAN])[0]) == 2


@pytest.mark.parametrize(("window", "what"), [(3_600, "hour"), (86_400, "day")])
def test_gas_counts_up_to_the_last_second_of_its_hour_and_day(window, what):
    clock = SimpleNamespace(now=NOW)
    _, one, two = two_chains(TotalLimits(**{f"max_gas_per_{what}": WAD}), clock=lambda: clock.now)
    one.note(ended("a", WORST))
    for seconds, found in ((window, []), (1, [PLAN])):
        clock.now += seconds
        one.price = two.price = CoinPrice(value=DOLLAR_A_PLAN, read=clock.now)
        assert two.admit([PLAN])[0] == found


def test_the_clock_is_told_in_whole_seconds():
    _, one, _ = two_chains(TotalLimits(max_in_flight=1), clock=lambda: NOW + 0.9)
    assert one.now() == NOW


def test_what_is_reserved_counts_at_once_and_until_it_is_given_back():
    _, one, _ = two_chains(TotalLimits(max_in_flight=9, max_gas_per_day=9 * WAD))
    flight = Flight()
    flight.took_off(PLAN, signed(PLAN, 5))
    one.opened(flight, never)
    one.admit([PLAN, PLAN])
    assert (one.in_flight, one.at_stake) == (3, 3 * WORST)
    one.release()
    assert (one.in_flight, one.at_stake) == (1, WORST)
    one.admit([PLAN])
    one.opened(flight, never)
    assert (one.in_flight, one.at_stake) == (1, WORST), "an earlier session's is nobody's"


def test_the_caps_may_be_reached_and_not_passed():
    _, one, _ = two_chains(TotalLimits(max_gas_per_day=WAD, max_gas_per_hour=WAD))
    assert one.has_room([PLAN])
    one.price = CoinPrice(value=DOLLAR_A_PLAN + 10**4, read=NOW)
    assert one.dollars(WORST) > WAD
    assert not one.has_room([PLAN])
    assert one.admit([PLAN])[0] == []


def test_plans_that_take_off_together_need_room_together_and_none_is_kept_for_them():
    _, one, _ = two_chains(TotalLimits(max_in_flight=3, max_gas_per_hour=2 * WAD))
    assert one.has_room([PLAN, PLAN])
    assert not one.has_room([PLAN, PLAN, PLAN])
    assert (one.in_flight, one.at_stake) == (0, 0)


def test_an_outcome_that_is_corrected_counts_once():
    _, one, two = two_chains(TotalLimits(max_gas_per_day=3 * WAD))
    one.note(ended("a", WORST))
    one.note(ended("a", 2 * WORST))
    assert one.spent_since(0) == 2 * WORST
    assert len(two.admit([PLAN, PLAN])[0]) == 1


async def test_what_a_reorg_undid_counts_once_while_it_is_open_again() -> None:
    _, one, two = two_chains(TotalLimits(max_gas_per_day=3 * WAD))
    companion = Companion(plan_id="with it", ref=PLAN.ref, valuation=None)
    intent = replace(INTENT, companions=(companion,))
    undone = in_block(98, intent=intent)
    chain = Chain([undone], hashes={98: hash32(0xDEAD)})
    one.opened(chain.flight, never)
    one.note(ended(intent.plan_id, WORST))
    one.note(ended("with it", WORST))
    assert two.admit([PLAN, PLAN])[0] == [PLAN]
    two.release()
    await chain.review(100, on_reopened=one.reopened)
    assert list(chain.flight.airborne) == [intent.plan_id]
    assert (one.spent_since(0), one.at_stake) == (0, WORST)
    assert two.admit([PLAN, PLAN])[0] == [PLAN, PLAN]


def test_what_was_spent_before_every_budget_is_forgotten() -> None:
    clock = SimpleNamespace(now=NOW)
    _, one, _ = two_chains(TotalLimits(max_gas_per_day=WAD), clock=lambda: clock.now)
    for number in range(100):
        one.note(ended(str(number), 1))
        clock.now += 86_400
    assert len(one._spent) < 10


def test_what_an_earlier_run_spent_and_left_open_counts_until_the_chain_is_open_again():
    totals = Totals(TotalLimits(max_gas_per_day=9 * WAD), now=lambda: NOW)
    assert totals.share("one") is totals.share("one")
    one, two = totals.share("one"), totals.share("two")
    one.price = two.price = CoinPrice(value=DOLLAR_A_PLAN, read=NOW)
    one.recall({"a": (NOW, WORST)}, at_stake=2 * WORST, open_=2)
    one.recall({"b": (NOW, WORST)}, at_stake=3 * WORST, open_=3)
    assert (one.spent_since(NOW), one.at_stake, one.in_flight) == (2 * WORST, 3 * WORST, 3)
    assert len(two.admit([PLAN] * 9)[0]) == 4
    one.opened(Flight(), never)
    assert (one.at_stake, one.in_flight) == (0, 0)


def test_the_tightest_budget_says_how_much_is_left_and_whether_there_is_room():
    limits = TotalLimits(max_gas_per_hour=2 * WAD, max_gas_per_day=3 * WAD)
    clock = SimpleNamespace(now=NOW)
    _, one, _ = two_chains(limits, clock=lambda: clock.now)
    assert one.left() == 2 * WAD * WAD // DOLLAR_A_PLAN
    one.note(ended("a", 2 * WORST))
    assert not one.has_room([PLAN])
    clock.now += 3_601
    one.price = CoinPrice(value=DOLLAR_A_PLAN, read=clock.now)
    assert one.left() == (3 * WAD - one.dollars(2 * WORST)) * WAD // DOLLAR_A_PLAN
    assert one.has_room([PLAN])


def test_where_more_is_taken_than_there_is_nothing_is_left():
    _, one, two = two_chains(TotalLimits(max_gas_per_day=10))
    one.price = two.price = CoinPrice(value=WAD // 2, read=NOW)
    assert two.left() == 20
    one.note(ended("a", 20))
    assert two.left() == 0
    one.note(ended("b", 20))
    assert two.left() == 0


def test_what_is_left_is_told_in_the_chains_own_coin():
    _, one, two = two_chains(TotalLimits(max_gas_per_day=3 * WAD))
    two.note(ended("a", WORST))
    left = one.left()
    assert left is not None
    assert 0 <= 2 * WORST - left <= 3


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["send", "land", "release"]), st.booleans()), max_size=40
    ),
    cap=st.integers(1, 6),
)
def test_whatever_two_chains_do_together_they_never_pass_the_cap(steps, cap):
    _, one, two = two_chains(TotalLimits(max_gas_per_day=cap * WAD, max_in_flight=4))
    flying: dict[bool, int] = {True: 0, False: 0}
    spent = 0
    for number, (what, first) in enumerate(steps):
        share = one if first else two
        if what == "send":
            flying[first] += len(share.admit([PLAN])[0])
        elif what == "land" and flying[first]:
            flying[first] -= 1
            share._reserved.pop()
            share.note(ended(str(number), WORST))
            spent += 1
        assert spent + sum(flying.values()) <= cap
        assert sum(flying.values()) <= 4


def fleet(tmp_path, **chains: Any) -> Any:
    return SimpleNamespace(
        totals=TotalSettings(max_gas_per_day_usd=5),
        chains=[
            SimpleNamespace(chain=SimpleNamespace(name=name), database=tmp_path / f"{name}.sqlite")
            for name in chains or ("one",)
        ],
    )


def test_a_price_of_an_earlier_run_is_taken_up(tmp_path):
    kept = {"usd": str(3 * WAD), "read": NOW - 100}
    (tmp_path / "one.sqlite.coin.json").write_text(json.dumps(kept))
    share = totals_of(fleet(tmp_path), lambda: NOW).share("one")
    assert share.price == CoinPrice(value=3 * WAD, read=NOW - 100)
    assert (share.at_stake, share.in_flight, share.spent_since(0)) == (0, 0, 0)


@pytest.mark.parametrize("text", ["", "{}", '{"usd": "x", "read": 1}', "[]"])
def test_a_price_file_that_cannot_be_read_is_no_price(tmp_path, text):
    (tmp_path / "one.sqlite.coin.json").write_text(text)
    assert totals_of(fleet(tmp_path), lambda: NOW).share("one").price is None


def test_a_database_that_is_none_of_ours_is_refused(tmp_path):
    (tmp_path / "one.sqlite").write_bytes(b"no database at all, but long enough to be looked at")
    with pytest.raises(ConfigError, match=r"one\.sqlite: expected a Keeper database"):
        totals_of(fleet(tmp_path), lambda: NOW)

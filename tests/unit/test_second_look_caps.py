"""The most that the next rung of an overdue transaction may offer."""

from typing import Any

import pytest

from keeper.core.chain import DataCost
from keeper.core.gas_limit import CANCEL_GAS
from keeper.core.plan import Purpose
from keeper.core.values import replace
from keeper.executor.forced import ForcedLimits
from tests.support.judged_overdue import LIMITS, PLAN, PRICE, USED, judged, rerun
from tests.support.ledger_records import DEPLOYMENT

WORST = PLAN.gas_limit * PLAN.fees.max_fee
MOST_TO_CANCEL = CANCEL_GAS + 999


def test_a_cancellation_has_room_for_data_that_is_charged_as_gas() -> None:
    tight, data = replace(LIMITS, max_gas_per_tx=WORST), DataCost(gas=9_000)
    assert judged(None, tight, data=data) == (Purpose.CANCEL, WORST // (MOST_TO_CANCEL + 9_000))


FORCED_LIMITS = replace(
    LIMITS, forced={DEPLOYMENT: ForcedLimits(max_loss_per_tx=3 * WORST, max_loss_per_day=5 * WORST)}
)
FORCED = replace(PLAN, forced=True)


@pytest.mark.parametrize(
    ("lost", "others", "most"),
    [
        (0, 0, 3 * WORST),
        (2 * WORST, 0, 3 * WORST),
        (3 * WORST, 0, 2 * WORST),
        (3 * WORST, WORST, WORST),
    ],
)
def test_a_forced_one_stays_at_a_loss_as_far_as_its_budget_goes(
    lost: int, others: int, most: int
) -> None:
    exposed: Any = {
        "forced_lost": {DEPLOYMENT: lost},
        "forced_staked": {DEPLOYMENT: WORST + others},
    }
    found = judged(rerun(received=0), FORCED_LIMITS, of=FORCED, **exposed)
    assert found == (Purpose.LIQUIDATE, most // PLAN.gas_limit)


def test_a_forced_budget_widens_no_other_limit() -> None:
    tight = replace(FORCED_LIMITS, max_gas_per_tx=2 * WORST)
    found = judged(rerun(), tight, of=FORCED, forced_staked={DEPLOYMENT: WORST})
    assert found == (Purpose.LIQUIDATE, 2 * WORST // PLAN.gas_limit)


def test_a_forced_one_is_cancelled_where_it_reverts_or_forced_mode_is_off() -> None:
    assert judged(rerun(success=False), FORCED_LIMITS, of=FORCED)[0] is Purpose.CANCEL
    off = replace(LIMITS, max_gas_per_tx=WORST)
    assert judged(rerun(), off, of=FORCED) == (Purpose.CANCEL, WORST // (MOST_TO_CANCEL))


def test_what_is_left_of_a_forced_budget_is_nothing_to_an_ordinary_one() -> None:
    exposed: Any = {"forced_lost": {DEPLOYMENT: 9 * WORST}}
    assert judged(rerun(), FORCED_LIMITS, **exposed)[0] is Purpose.LIQUIDATE
    assert judged(rerun(), FORCED_LIMITS, **exposed)[1] > 5 * WORST


CAPS = {
    "its own profit": (rerun(received=7 + 2 * PRICE * USED), {}, {}, 2 * PRICE),
    "the gas price": (rerun(), {"max_gas_price": 43}, {}, 39),
    "one transaction": (rerun(), {"max_gas_per_tx": 5 * WORST}, {}, 5 * WORST // PLAN.gas_limit),
    "an hour": (
        rerun(),
        {"max_gas_per_hour": 5 * WORST},
        {"spent_hour": WORST, "at_stake": 3 * WORST},
        2 * WORST // PLAN.gas_limit,
    ),
    "a day": (
        rerun(),
        {"max_gas_per_day": 5 * WORST},
        {"spent_day": WORST, "at_stake": 3 * WORST},
        2 * WORST // PLAN.gas_limit,
    ),
    "one transaction of a rich operator": (
        rerun(),
        {"max_gas_per_tx": 5 * WORST},
        {"balance": 99 * WORST, "left_of_totals": 99 * WORST},
        5 * WORST // PLAN.gas_limit,
    ),
    "what data costs more than is left": (
        rerun(),
        {"max_gas_per_tx": WORST},
        {"data": DataCost(wei=2 * WORST)},
        0,
    ),
    "all chains": (rerun(), {}, {"left_of_totals": WORST}, 2 * WORST // PLAN.gas_limit),
    "the balance floor": (
        rerun(),
        {"min_balance": WORST},
        {"balance": 3 * WORST},
        2 * WORST // PLAN.gas_limit,
    ),
    "a floor that is passed": (
        rerun(),
        {"min_balance": WORST},
        {"balance": WORST},
        WORST // PLAN.gas_limit,
    ),
    "data": (
        rerun(),
        {"max_gas_per_tx": 5 * WORST},
        {"data": DataCost(wei=WORST)},
        4 * WORST // PLAN.gas_limit,
    ),
}


@pytest.mark.parametrize("what", CAPS)
def test_a_rung_ends_where_a_limit_does(what: str) -> None:
    verdict, limits, exposed, most = CAPS[what]
    changed: Any = limits
    told: Any = exposed
    assert judged(verdict, replace(LIMITS, **changed), **told) == (Purpose.LIQUIDATE, most)


def test_a_cancellation_is_held_to_the_limits_with_its_own_gas() -> None:
    tight = replace(LIMITS, max_gas_per_tx=WORST)
    assert judged(None, tight) == (Purpose.CANCEL, WORST // (MOST_TO_CANCEL))
    spent = replace(LIMITS, max_gas_per_hour=WORST)
    found = judged(None, spent, spent_hour=WORST, at_stake=WORST)
    assert found == (Purpose.CANCEL, WORST // MOST_TO_CANCEL), "what it may cost as it is"

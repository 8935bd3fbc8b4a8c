"""Figures of the one gate, to the wei."""

from typing import Any

import pytest

from keeper.core.chain import DataCost, Fees
from keeper.core.lending import Reason
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.executor.ladder import bumped
from keeper.executor.policy import BatchRules, Exposure, Limits, judge, worst_gas
from tests.support.ledger_records import OPERATOR, account, plan

FEE = 20
PLAN = replace(
    plan(),
    gas_limit=1_000,
    fees=Fees(max_fee=FEE, priority_fee=0),
    data_cost=DataCost(wei=300, gas=50),
)
WORST = 20_300
WIDE = 10**30
LIMITS = Limits(
    min_profit=0,
    max_gas_price=bumped(FEE),
    max_gas_per_tx=WIDE,
    max_gas_per_hour=WIDE,
    max_gas_per_day=WIDE,
    max_in_flight=9,
    min_balance=0,
)
RICH = Exposure(
    spent_hour=0, spent_day=0, at_stake=0, in_flight=0, busy=frozenset(), balances={OPERATOR: WIDE}
)


def said(limits: Limits, exposure: Exposure = RICH, one: Plan = PLAN) -> str | None:
    no = judge(one, limits, exposure)
    return None if no is None else no.detail


def test_the_worst_that_gas_may_cost_is_at_the_limit_and_the_highest_fee_with_the_data() -> None:
    assert worst_gas(PLAN) == WORST
    assert RICH.with_plan(PLAN).at_stake == WORST


@pytest.mark.parametrize(
    ("exactly", "words"),
    [
        ({"max_gas_per_tx": WORST}, "gas of one transaction: 20300 wei at most, 1 wei over"),
        ({"max_gas_per_hour": WORST + 5 + 70}, "gas in an hour: 20375 wei at most, 1 wei over"),
        ({"max_gas_per_day": WORST + 6 + 70}, "gas in a day: 20376 wei at most, 1 wei over"),
    ],
)
def test_a_budget_is_kept_to_the_wei_with_what_is_spent_and_at_stake(
    exactly: dict[str, Any], words: str
) -> None:
    spent = replace(RICH, spent_hour=5, spent_day=6, at_stake=70)
    assert said(replace(LIMITS, **exactly), spent) is None
    less = {name: cap - 1 for name, cap in exactly.items()}
    assert words in str(said(replace(LIMITS, **less), spent))


def test_the_floor_is_kept_to_the_wei_and_the_refusal_says_what_is_left_and_missing() -> None:
    limits = replace(LIMITS, min_balance=40)
    held = replace(RICH, staked={OPERATOR: 7})
    assert said(limits, replace(held, balances={OPERATOR: WORST + 7 + 40})) is None
    short = replace(held, balances={OPERATOR: WORST + 7 + 37})
    assert said(limits, short) == (
        "operator balance could fall to 37 wei, 3 wei under the floor of 40 wei"
    )


def test_an_operator_whose_balance_is_not_known_has_none() -> None:
    unknown = replace(RICH, balances={account(9): WIDE})
    assert "could fall to -20300 wei" in str(said(LIMITS, unknown))
    assert said(replace(LIMITS, min_balance=-WORST), unknown) is None


def test_as_many_are_in_flight_as_allowed_and_no_more() -> None:
    limits = replace(LIMITS, max_in_flight=2)
    assert said(limits, replace(RICH, in_flight=1)) is None
    assert said(limits, replace(RICH, in_flight=2)) == "2 in flight, the cap is 2"


def test_the_least_net_is_the_greater_of_the_operators_and_the_plans() -> None:
    net = PLAN.forecast.net
    assert said(replace(LIMITS, min_profit=net), one=replace(PLAN, least_net=net)) is None
    for limits, one in (
        (replace(LIMITS, min_profit=net + 2), PLAN),
        (LIMITS, replace(PLAN, least_net=net + 2)),
    ):
        no = judge(one, limits, RICH)
        assert no is not None
        assert no.reason is Reason.BELOW_MIN_PROFIT
        assert f"is 2 wei under the least of {net + 2} wei" in no.detail


def test_a_batch_puts_at_stake_what_each_of_the_others_risks() -> None:
    rules = BatchRules(most=9, risk_bps=100)
    assert rules.risk(1_000, 1) == 0
    assert rules.risk(1_000, 3) == 2 * 100 * 1_000
    assert rules.risk(-5, 3) == 0


def test_a_forced_share_of_a_budget_grows_with_each_plan_let_through() -> None:
    forced = replace(PLAN, forced=True)
    once = RICH.with_plan(forced)
    assert once.forced_taken(PLAN.deployment) == WORST
    assert once.with_plan(forced).forced_taken(PLAN.deployment) == 2 * WORST
    assert RICH.with_plan(PLAN).forced_taken(PLAN.deployment) == 0
    lost = replace(once, forced_lost={PLAN.deployment: 11})
    assert lost.forced_taken(PLAN.deployment) == WORST + 11

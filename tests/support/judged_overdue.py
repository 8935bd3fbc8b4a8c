"""One overdue transaction, and what the second look makes of it."""

from typing import Any

from keeper.core.chain import NO_DATA_COST, DataCost, Fees, next_base_fee
from keeper.core.plan import Plan, Purpose, Submission
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.policy import Exposure, Limits
from keeper.executor.second_look import SecondLook, Verdict
from tests.support.ledger_records import block, plan, submission

GWEI = 10**9
PLAN = replace(plan(), gas_limit=1_000_000, fees=Fees(max_fee=30 * GWEI, priority_fee=GWEI))
SENT = submission(PLAN)
HEAD = block(101)
USED = 500_000
PRICE = min(PLAN.fees.max_fee, next_base_fee(HEAD) + GWEI)
WIDE = 10**30
LIMITS = Limits(
    min_profit=7,
    max_gas_price=WIDE,
    max_gas_per_tx=WIDE,
    max_gas_per_hour=WIDE,
    max_gas_per_day=WIDE,
    max_in_flight=9,
    min_balance=0,
)


def rerun(*, received: int = WIDE, success: bool = True) -> Verdict:
    return Verdict(success=success, received=received, gas_used=USED, error="no")


def judged(
    verdict: Verdict | None,
    limits: Limits = LIMITS,
    *,
    balance: int | None = None,
    data: DataCost = NO_DATA_COST,
    of: Plan = PLAN,
    sent: Submission = SENT,
    **exposed: Any,
) -> tuple[Purpose, int]:
    """Return what is next for the one transaction in flight, beside what ``exposed`` says."""
    flight = Flight()
    flight.took_off(replace(of, data_cost=data), sent)
    nothing = Exposure(
        spent_hour=0,
        spent_day=0,
        at_stake=0,
        in_flight=0,
        busy=frozenset(),
        balances=None if balance is None else {SENT.sender: balance},
    )
    nobody: Any = None  # nothing is run again
    look = SecondLook(
        simulator=nobody,
        auditor_of=nobody,
        on_stuck=nobody,
        overrides={},
        limits=limits,
        block_time_s=12,
    )
    exposure = replace(nothing.by_now(flight), **exposed)
    return look.judged(sent, flight.airborne[PLAN.id], verdict, HEAD, exposure)

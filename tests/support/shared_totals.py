"""Budgets that two chains share, and a plan of which each may cost a dollar."""

from typing import Any

from keeper.core.accounting import gas_only
from keeper.core.plan import Outcome, Status
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.policy import worst_gas
from keeper.executor.totals import CoinPrice, TotalLimits, Totals
from tests.support.ledger_records import plan
from tests.support.signed_plans import SIGNER

NOW = 1_700_000_000
PLAN = replace(plan(), transaction=replace(plan().transaction, sender=SIGNER.address))
WORST = worst_gas(PLAN)
DOLLAR_A_PLAN = WAD * WAD // WORST
"""A coin's price at which the plan's gas may cost a dollar."""


async def never(_: object) -> int | None:
    raise AssertionError("nobody asked")


def two_chains(limits: TotalLimits, *, clock: Any = lambda: NOW) -> tuple[Totals, Any, Any]:
    totals = Totals(limits, now=clock)
    shares = totals.share("one"), totals.share("two")
    for share in shares:
        share.opened(Flight(), never)
        share.price = CoinPrice(value=DOLLAR_A_PLAN, read=NOW)
    return totals, *shares


def ended(plan_id: str, gas: int) -> Outcome:
    return Outcome(
        plan_id=plan_id,
        status=Status.REVERTED,
        tx_hash=None,
        block=None,
        gas_used=0,
        realised=gas_only(gas),
        liquidations=(),
        detail="",
    )

"""What plans count on in gas, held to what their transactions take."""

from pathlib import Path
from typing import Any

from keeper.app.study import Study, studies
from keeper.config.settings import load
from keeper.core.chain import Simulated
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.planner.case import Case, Desk

LEAST_BPS = 9_000
MOST_BPS = 12_500
"""How far an estimate may be from the truth: gas that costs more than was counted on is worse."""


def in_band(estimate: int, used: int) -> bool:
    """Return whether an estimate is near what was used."""
    return LEAST_BPS * used <= 10_000 * estimate <= MOST_BPS * used


async def hold_estimates(config: Path, report: list[str], *, least: int) -> None:
    """Execute the plan of each pair that may be liquidated; hold its gas to what it takes.

    ``least`` is how many plans there must be of each deployment.
    """
    async with studies(load(config)) as found:
        for study in found:
            shares = await _shares(study)
            name = study.adapter.deployment
            report.append(
                f"gas that {len(shares)} plans on {name} counted on: "
                f"{min(shares)} to {max(shares)} bps of what they took"
            )
            assert len(shares) >= least, name


async def _shares(study: Study[Any, Any]) -> list[int]:
    """Return the share of each estimate in the truth, basis points; none is out of the band."""
    positions = await study.everyone(lambda *_: None)
    found = study.scan(positions, study.prices.prices)
    desk = await study.desk(found.opportunities)
    shares = []
    for case in study.cases(found, positions):
        for plan in _plans(study, case, desk):
            done = await _run(study, desk, plan)
            estimate = plan.forecast.gas // desk.gas_price
            assert done.success, f"{plan.id}: {done.error}"
            assert in_band(estimate, done.gas_used), f"{plan.id}: {estimate} of {done.gas_used}"
            assert done.gas_used * 5 < plan.gas_limit * 4, plan.id
            shares.append(estimate * 10_000 // done.gas_used)
    return shares


def _plans(study: Study[Any, Any], case: Case, desk: Desk) -> list[Plan]:
    """Return the plan of each pair of an account, as if it were the only one."""
    alone = (
        replace(case, opportunity=replace(case.opportunity, options=(option,)))
        for option in case.opportunity.options
    )
    made = (study.planner.plan(one, desk) for one in alone)
    return [one for one in made if isinstance(one, Plan)]


async def _run(study: Study[Any, Any], desk: Desk, plan: Plan) -> Simulated:
    (done,) = await study.chain.simulator.simulate(
        [plan.transaction],
        base=study.block,
        timestamp=study.target,
        base_fee=desk.base_fee,
        overrides=study.contract.overrides,
    )
    return done

"""Plans made together come to what they were planned to, whichever of them is taken out."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.app.batch import Batch
from keeper.app.made import Made
from keeper.app.planning import PlannerDesk
from keeper.app.study import Study, studies
from keeper.config.settings import Settings
from keeper.core.lending import AccountRef
from keeper.core.plan import Plan
from keeper.core.values import replace
from keeper.planner.case import Desk
from keeper.planner.markets import Markets
from keeper.planner.offers import Chosen
from keeper.scanner.scan import Book, Scan
from tests.support.market_node import MarketNode
from tests.support.ten_loans import LOANS, ten_loans


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What was chosen together of a deployment, and at which desk."""

    study: Study[Any, Any]
    found: Scan[Any]
    positions: Mapping[AccountRef, Any]
    desk: Desk
    chosen: Sequence[Chosen]

    @property
    def plans(self) -> list[Plan]:
        return [self.study.planner.build(one) for one in self.chosen]

    async def one_by_one(self, sent: list[Plan], *, told: bool) -> list[Plan]:
        """Plan each account by itself and send it; the planner is told of that, or not."""
        async for one in self._planning().plan_each(self._batch(sent if told else ())):
            assert isinstance(one, Plan)
            sent.append(one)
        return sent

    async def in_parts(self, sent: list[Plan], *, part: int) -> list[Plan]:
        """Plan part by part, and send each before the next is planned."""
        batch = replace(self._batch(sent), part=part)
        async for joint, refused in self._planning().plan(batch):
            assert not refused
            assert 0 < len(joint.plans) <= part
            sent += joint.plans
        return sent

    def _planning(self) -> PlannerDesk[Any, Any]:
        study = self.study
        return PlannerDesk[Any, Any](
            study.planner,
            study.chain.reader,
            study.settings.chain,
            max_gas_price=self.desk.fees.max_fee,
        )

    def _batch(self, sent: Sequence[Plan]) -> Batch[Any, Any]:
        study = self.study
        return Batch(
            adapter=study.adapter,
            view=self.found.view,
            book=Book(
                block=study.block,
                market=study.market,
                positions=self.positions,
                prices=study.prices.prices,
                problems={},
            ),
            opportunities=self.found.opportunities,
            valuations={
                one.ref: study.value(self.found.view, one.ref) for one in self.found.opportunities
            },
            sent=sent,
        )

    async def run(self, plans: Sequence[Plan]) -> tuple[list[str], int]:
        """Run the plans in order in the block that they aim at.

        Return which liquidate other than was planned, and by how much more all of them earned.
        """
        done = await self.study.chain.simulator.simulate(
            [plan.transaction for plan in plans],
            base=self.study.block,
            timestamp=self.study.target,
            base_fee=self.desk.base_fee,
            overrides={},
        )
        found, more = [], 0
        for plan, result in zip(plans, done, strict=True):
            said = [(one.repay, one.seized, one.protocol_fee) for one in plan.liquidations]
            was = [
                (one.repaid, one.seized, one.protocol_fee)
                for one in self.study.adapter.decode(self.study.market, result.logs)
            ]
            more += int.from_bytes(result.return_data) - plan.forecast.net - plan.forecast.gas
            if said != was:
                found.append(f"{plan.id}: expected {said}, found {was} {result.error}")
        return found, more


@asynccontextmanager
async def planned(settings: Settings) -> AsyncIterator[Planned]:
    async with studies(settings) as (study,):
        positions = await study.everyone(lambda *_: None)
        found = study.scan(positions, study.prices.prices)
        desk = await study.desk(found.opportunities)
        chosen, _ = study.planner.choose_all(study.cases(found, positions), desk)
        yield Planned(study=study, found=found, positions=positions, desk=desk, chosen=chosen)


async def test_all_that_remain_liquidate_as_planned_whoever_is_taken_out(
    anvil_binary: Path, local_market: MarketNode, tmp_path: Path
) -> None:
    with ten_loans(anvil_binary, local_market, tmp_path) as settings:
        async with planned(settings) as joint:
            plans, spoilt = joint.plans, 0
            assert len(plans) == LOANS
            assert await joint.run(plans) == ([], 0)
            for out in range(LOANS):
                without = [*plans[:out], *plans[out + 1 :]]
                made = Made(joint.study.planner, joint.chosen, joint.desk, Markets())
                remaining, gone = made.again(without)
                assert gone == []
                assert await joint.run(remaining) == ([], 0)
                both = zip(remaining, without, strict=True)
                anew = [one for one, old in both if one.liquidations != old.liquidations]
                stale, _ = await joint.run(without)
                assert len(stale) <= len(anew) < LOANS - 1
                spoilt += len(stale)
            assert spoilt > LOANS // 2


async def test_plans_taken_out_one_after_the_other_leave_plans_that_hold(
    anvil_binary: Path, local_market: MarketNode, tmp_path: Path
) -> None:
    with ten_loans(anvil_binary, local_market, tmp_path) as settings:
        async with planned(settings) as joint:
            made = Made(joint.study.planner, joint.chosen, joint.desk, Markets())
            remaining = joint.plans
            while len(remaining) > 1:
                middle = len(remaining) // 3
                remaining, _ = made.again([*remaining[:middle], *remaining[middle + 1 :]])
                assert await joint.run(remaining) == ([], 0)


async def test_what_is_planned_after_others_were_sent_counts_on_them(
    anvil_binary: Path, local_market: MarketNode, tmp_path: Path
) -> None:
    with ten_loans(anvil_binary, local_market, tmp_path) as settings:
        async with planned(settings) as joint:
            sent = await joint.one_by_one([], told=True)
            assert len(sent) == LOANS
            assert (await joint.run(sent))[0] == []
            untold = await joint.one_by_one([], told=False)
            assert (await joint.run(untold))[0] != []


async def test_what_is_planned_in_parts_counts_on_what_went_out_before(
    anvil_binary: Path, local_market: MarketNode, tmp_path: Path
) -> None:
    with ten_loans(anvil_binary, local_market, tmp_path) as settings:
        async with planned(settings) as joint:
            for part in (1, 3, LOANS):
                sent = await joint.in_parts([], part=part)
                assert len(sent) == LOANS
                assert await joint.run(sent) == ([], 0)

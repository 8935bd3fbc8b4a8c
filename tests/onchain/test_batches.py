"""Several accounts in one transaction, carried out by the real contracts of three protocols.

Each account comes to its forecast to the wei, the parts add up to what the chain paid and took,
and the gas is less than that of the same liquidations alone.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from keeper.app.batch import Batch
from keeper.app.builders import decoders_for, lenders_for
from keeper.app.made import Made, Merger
from keeper.app.planning import PlannerDesk
from keeper.app.study import Study, studies
from keeper.chain.anvil import Anvil
from keeper.config.settings import Settings, load
from keeper.core.accounting import Waterfall, waterfall
from keeper.core.chain import Receipt, next_base_fee
from keeper.core.joint import Joint
from keeper.core.lending import Rejection
from keeper.core.plan import Plan
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.devnet.config_files import KeeperFiles, write_config
from keeper.devnet.crash import crash
from keeper.devnet.executor import deploy_executor
from keeper.devnet.live import LiveMarket
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.stage_venus import venus_file
from keeper.devnet.stages import DeploymentFile
from keeper.evm.program_reader import read_reach
from keeper.executor.batching import SAVED_GAS, Batcher
from keeper.executor.dividing import Decoders, divided
from keeper.executor.door import Door, Grounds
from keeper.executor.flight import Flight
from keeper.executor.policy import BatchRules, tokens_of
from keeper.executor.rehearse import Stage, run_once
from keeper.ledger.books import add_up
from keeper.planner.markets import Markets
from keeper.scanner.scan import Book
from tests.support.allowances import allowed_by
from tests.support.disarmed import LIMITS
from tests.support.ledger_records import HandClock, opened
from tests.support.market_node import MarketNode, copied_market
from tests.support.ten_loans import ten_loans
from tests.support.venus_scene import built_venus

LEAST = "0.0001 ether"
STEPS = 6
MOST = 10
REGULAR, LACKING = 4, 20_000
"""So many pay alone; the next one lacks what so much gas costs."""
_BALANCE_OF: Final = "0x70a08231"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Plans made together, rehearsed alone in their order, and how to make one of several."""

    study: Study[Any, Any]
    merger: Merger
    decoders: Decoders
    stage: Stage
    plans: list[Plan]
    rejected: list[Rejection]

    async def rehearsed(self, *plans: Plan) -> list[Plan | Rejection]:
        return await run_once(plans, self.study.chain.simulator, self.stage, self.decoders)

    async def together(self, count: int) -> Plan:
        """Return the batch of the first plans as its rehearsal forecasts it."""
        (found,) = await self.rehearsed(self.merger.merge(self.plans[:count]))
        assert isinstance(found, Plan), found
        return found

    @property
    def price(self) -> int:
        """What a unit of gas costs in the target block, wei."""
        return next_base_fee(self.study.block) + self.plans[0].fees.priority_fee

    def gas(self, plans: Sequence[Plan]) -> int:
        """Return the gas that plans took in their rehearsal."""
        return sum(one.forecast.gas for one in plans) // self.price

    async def ask(self, method: str, *params: object) -> str:
        reply = await self.study.chain.rpc.ask(method, *params)
        return str(msgspec.json.decode(reply))

    async def land(self, plan: Plan) -> Receipt:
        """Send the transaction into the very block that it aims at."""
        await self.ask("evm_setAutomine", False)
        await self.ask("evm_setNextBlockTimestamp", self.study.target)
        base_fee = next_base_fee(self.study.block)
        await self.ask("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
        tx_hash = await self.ask("eth_sendTransaction", _body(plan))
        await self.ask("evm_mine")
        receipt = await self.study.chain.wire.receipt(Hash32(tx_hash))
        assert receipt is not None
        assert receipt.block_number == self.study.block.number + 1
        allowed = allowed_by([log.topics for log in receipt.logs], plan.transaction.to)
        reach = read_reach(plan.transaction.data)
        assert allowed == reach.spenders != frozenset()
        assert frozenset() != reach.tokens <= frozenset().union(*map(tokens_of, plan.members))
        return receipt

    def books(self, plan: Plan, receipt: Receipt) -> list[Waterfall]:
        """Return what each account of a receipt came to."""
        members = plan.members
        refs = [one.ref for one in members]
        gas = receipt.gas_used * receipt.effective_gas_price
        moved = divided(receipt.logs, refs, self.decoders, tip=plan.tip, gas=gas)
        return [waterfall(own, one.valuation) for own, one in zip(moved, members, strict=True)]

    async def held(self) -> int:
        """Return what operator and recipient own together, wei."""
        contract, native = self.study.contract, self.study.settings.chain.wrapped_native
        wrapped = {"to": native, "data": _BALANCE_OF + contract.recipient[2:].rjust(64, "0")}
        own = await self.ask("eth_getBalance", contract.operator, "latest")
        return int(own, 16) + int(await self.ask("eth_call", wrapped, "latest"), 16)


def _body(plan: Plan) -> dict[str, str]:
    transaction = plan.transaction
    return {
        "from": transaction.sender,
        "to": transaction.to,
        "data": "0x" + transaction.data.hex(),
        "gas": hex(plan.gas_limit),
        "maxFeePerGas": hex(plan.fees.max_fee),
        "maxPriorityFeePerGas": hex(plan.fees.priority_fee),
    }


@contextmanager
def aave(binary: Path, base: MarketNode, folder: Path) -> Iterator[Settings]:
    with copied_market(binary, base) as node:
        for step in crash(node.live):
            if step.number == STEPS:
                break
        yield configured(node.live, node.anvil, folder)


@contextmanager
def morpho(binary: Path, base: MarketNode, folder: Path) -> Iterator[Settings]:
    with ten_loans(binary, base, folder) as settings:
        yield settings


@contextmanager
def venus(binary: Path, _base: MarketNode, folder: Path) -> Iterator[Settings]:
    with built_venus(binary) as node:
        live = node.live.live
        prices = oracle_prices(live)
        push_prices(live, {s: prices[s] * 8 // 10 for s in ("WETH", "wstETH")})
        yield configured(live, node.anvil, folder, venus_file(node.market, node.venus))


def configured(
    live: LiveMarket, anvil: Anvil, folder: Path, *deployments: DeploymentFile
) -> Settings:
    who = live.market.accounts
    executor = deploy_executor(
        live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )
    files = KeeperFiles(
        rpc=str(anvil.ipc_path),
        mode="live",
        executor=executor,
        recipient=who.recipient,
        min_profit=LEAST,
        deployments=deployments,
    )
    return load(write_config(folder, live.market, files))


@asynccontextmanager
async def planned(settings: Settings) -> AsyncIterator[Field]:
    """Plan everybody who can be liquidated, and rehearse the plans alone in their order."""
    async with studies(settings) as (study,):
        positions = await study.everyone(lambda *_: None)
        found = study.scan(positions, study.prices.prices)
        desk = await study.desk(found.opportunities)
        chosen, _ = study.planner.choose_all(study.cases(found, positions), desk)
        made = Made(study.planner, chosen, desk, Markets())
        contract, chain = study.contract, settings.chain
        lenders = lenders_for(chain, study.chain.reader, contract.address)
        decoders = decoders_for(study.adapter, lenders, chain.wrapped_native, contract.recipient)(
            study.market
        )
        stage = Stage(head=study.block, timestamp=study.target, ahead=(), overrides={})
        plans = [study.planner.build(one) for one in chosen]
        alone = await run_once(plans, study.chain.simulator, stage, decoders)
        yield Field(
            study=study,
            merger=Merger(study.planner, made, contract.recipient),
            decoders=decoders,
            stage=stage,
            plans=[one for one in alone if isinstance(one, Plan)],
            rejected=[one for one in alone if isinstance(one, Rejection)],
        )


@pytest.mark.parametrize("scene", [aave, morpho, venus])
async def test_a_batch_of_any_size_comes_to_the_forecast_of_each_to_the_wei(
    anvil_binary: Path,
    local_market: MarketNode,
    tmp_path: Path,
    scene: Callable[[Path, MarketNode, Path], AbstractContextManager[Settings]],
    parity_report: list[str],
) -> None:
    said: list[str] = []
    with scene(anvil_binary, local_market, tmp_path) as settings:
        async with planned(settings) as field:
            assert len(field.plans) >= MOST
            before = await field.held()
            for count in range(2, MOST + 1):
                kept = await field.ask("evm_snapshot")
                batch, alone = await field.together(count), field.plans[:count]
                receipt = await field.land(batch)
                realised = field.books(batch, receipt)
                assert receipt.success
                assert realised == [one.forecast for one in batch.members]
                assert add_up(realised).net == await field.held() - before
                saved = field.gas(alone) - receipt.gas_used
                assert saved >= (count - 1) * SAVED_GAS
                said.append(f"{count}: {saved:,}")
                assert await field.ask("evm_revert", kept)
    parity_report.append(f"gas saved by batches on {scene.__name__}: {', '.join(said)}")


async def joint_of(study: Study[Any, Any]) -> Joint:
    """Return what the daemon would plan of everybody together."""
    positions = await study.everyone(lambda *_: None)
    found = study.scan(positions, study.prices.prices)
    planning = PlannerDesk[Any, Any](
        study.planner,
        study.chain.reader,
        study.settings.chain,
        max_gas_price=study.settings.limits.max_gas_price_wei,
        recipient=study.contract.recipient,
    )
    batch = Batch(
        adapter=study.adapter,
        view=found.view,
        book=Book(
            block=study.block,
            market=study.market,
            positions=positions,
            prices=study.prices.prices,
            problems={},
        ),
        opportunities=found.opportunities,
        valuations={one.ref: study.value(found.view, one.ref) for one in found.opportunities},
    )
    (made,) = [one async for one in planning.plan(batch)]
    return made[0]


async def batched(field: Field, joint: Joint, folder: Path) -> tuple[list[Plan], list[Rejection]]:
    """Return what would be sent, by the rules that the daemon makes batches by."""
    held = [one for one in await field.rehearsed(*joint.plans) if isinstance(one, Plan)]
    assert len(held) == len(joint.plans)
    journal = await opened(folder)
    grounds = Grounds(
        reader=field.study.chain.reader,
        simulator=field.study.chain.simulator,
        limits=replace(LIMITS, min_profit=field.study.settings.limits.min_profit_wei),
        now=HandClock().now,
        overrides={},
        batches=BatchRules(most=MOST),
    )
    flight = Flight()
    door = Door(grounds, journal=journal, flight=flight, desks=None)
    exposure = await door.exposure(field.study.block)
    batcher = Batcher(grounds, door, flight)
    done = await batcher.batched(held, joint, exposure, field.stage, field.decoders)
    await journal.close()
    return done


def with_least(settings: Settings, wei: int) -> Settings:
    limits = settings.limits.model_copy(update={"min_profit_wei": wei})
    return replace(settings, limits=limits)


@pytest.mark.parametrize("scene", [aave, morpho])
async def test_who_pays_only_with_others_goes_along_and_comes_to_its_forecast_to_the_wei(
    anvil_binary: Path,
    local_market: MarketNode,
    tmp_path: Path,
    scene: Callable[[Path, MarketNode, Path], AbstractContextManager[Settings]],
) -> None:
    with scene(anvil_binary, local_market, tmp_path) as settings:
        async with planned(settings) as field:
            poor = (await joint_of(field.study)).plans[REGULAR]
            (alone,) = (one for one in field.plans if one.ref == poor.ref)
            least = max(poor.forecast.net, alone.forecast.net) + LACKING * field.price
        async with planned(with_least(settings, least)) as field:
            assert poor.ref not in [one.ref for one in field.plans]
            before, joint = await field.held(), await joint_of(field.study)
            assert poor.ref in [one.plan.ref for one in joint.additions]
            (whole,), left = await batched(field, joint, tmp_path)
            assert poor.ref in [one.ref for one in whole.members[len(joint.plans) :]]
            assert {one.ref for one in left}.isdisjoint({one.ref for one in whole.members})
            receipt = await field.land(whole)
            realised = field.books(whole, receipt)
            assert receipt.success
            assert realised == [one.forecast for one in whole.members]
            assert add_up(realised).net == await field.held() - before
            assert all(one.net >= least for one in realised)

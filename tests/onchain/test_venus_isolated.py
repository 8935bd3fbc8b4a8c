"""Venus's isolated pools, to the wei: health, repayments, seizures, fees, bad debt, refusals."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from keeper.core.chain import Transaction
from keeper.core.lending import SeizeQuote
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.executor import deploy_executor
from keeper.devnet.isolated_actions import random_actions
from keeper.devnet.sender import Sender, read_all
from keeper.evm.program import Program
from keeper.evm.program_encoder import encode
from keeper.planner.build import protocol_call
from keeper.protocols.venus_isolated.case import KEY_SEPARATOR, Way
from keeper.protocols.venus_isolated.refusals import Refusal
from tests.support.gas_record import gas_of_a_whole_liquidation, on_record
from tests.support.isolated_governance import all_options, comptroller_of, crashed, way_of
from tests.support.isolated_scene import (
    BORROWERS,
    IsolatedNode,
    Scene,
    built_isolated,
    copied_isolated,
    differences,
    every_case,
    judge,
    open_scene,
)

ROUNDS = 2
ACTIONS = 70


@pytest.fixture(scope="module")
def isolated_node(anvil_binary: Path) -> Iterator[IsolatedNode]:
    with built_isolated(anvil_binary, by_second=False) as node:
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, isolated_node: IsolatedNode) -> AsyncIterator[Scene]:
    with copied_isolated(anvil_binary, isolated_node) as node:
        async with open_scene(node) as opened:
            yield opened


async def test_every_account_is_as_short_as_its_comptroller_says(scene: Scene):
    look = await scene.look()
    assert len(look.positions) >= 2 * BORROWERS
    assert await differences(scene, look) == []
    healed = 0
    for seed in range(ROUNDS):
        report = random_actions(scene.live, seed=seed, count=ACTIONS)
        assert sum(report.succeeded.values()) > ACTIONS // 2
        healed += report.succeeded["heal"]
        look = await scene.look(look.positions)
        assert await differences(scene, look) == []
        sides = await scene.adapter.audit(
            scene.chain.reader, look.block, scene.view(look), look.positions
        )
        assert [str(one) for one in sides.values() if not one.agree] == []
        await crashed(scene, steps=8)
    assert healed > 0


async def test_following_the_logs_equals_reading_everything(scene: Scene):
    followed = await scene.look()
    for seed in range(ROUNDS):
        random_actions(scene.live, seed=100 + seed, count=ACTIONS)
        followed = await scene.follow(followed)
        cold = await scene.look(followed.positions)
        assert followed.market == cold.market
        assert followed.positions == cold.positions


async def test_every_option_liquidates_as_quoted(scene: Scene):
    random_actions(scene.live, seed=5, count=40)
    look = await crashed(scene)
    random = Random(1)  # noqa: S311 - a sample, not a secret
    quoted = Counter[Way]()
    for ref, option in all_options(scene, look):
        most, way = option.max_repay, way_of(option)
        amounts = [most] if way is not Way.BORROW else [most, random.randrange(1, most + 1)]
        for repay in amounts:
            assert isinstance(await judge(scene, look, ref, option, repay), SeizeQuote)
            quoted[way] += 1
    assert quoted[Way.BORROW] > 20
    assert quoted[Way.ACCOUNT] > 0
    assert quoted[Way.HEAL] > 0


async def test_every_refusal_is_foreseen(scene: Scene):
    look = await crashed(scene, steps=4)
    random = Random(2)  # noqa: S311 - a sample, not a secret
    found = Counter[Refusal | type[SeizeQuote]]()
    for ref, option, owed in every_case(look, scene.view(look, ahead=1)):
        choices = (
            (owed,) if way_of(option) is Way.HEAL else (0, owed // 3, owed, owed // 2 + 1, owed * 2)
        )
        said = await judge(scene, look, ref, option, random.choice(choices))
        found[said if isinstance(said, Refusal) else SeizeQuote] += 1
    assert set(found) >= {
        Refusal.HEALTHY,
        Refusal.TOO_MUCH_REPAY,
        Refusal.TOO_LITTLE_COLLATERAL,
        Refusal.TOO_MUCH_COLLATERAL,
        SeizeQuote,
    }


async def test_a_healed_account_leaves_bad_debt_that_the_rate_goes_on_counting(scene: Scene):
    before = await crashed(scene, steps=8)
    heals = [(r, o) for r, o in all_options(scene, before) if way_of(o) is Way.HEAL]
    ref, option = heals[0]
    supplier = Sender.of(scene.live.live.rpc, scene.supplier)
    supplier.call(comptroller_of(scene, ref), "healAccount", ref.account)
    supplier.mine()
    look = await scene.follow(before)
    number = look.market.numbers[Address(option.key.split(KEY_SEPARATOR)[2])]
    assert look.market.markets[number].bad_debt > before.market.markets[number].bad_debt
    assert look.positions[ref].entries == ()
    assert await differences(scene, look) == []
    calls = [(t, "exchangeRateStored", ()) for p in scene.live.pools for t in p.markets.values()]
    rates = read_all(scene.live.live.rpc, calls)
    assert rates == [one.stored_rate for one in scene.view(look).lines.values()]


async def test_markets_by_the_second_are_reckoned_by_the_second(anvil_binary: Path):
    with built_isolated(anvil_binary, by_second=True) as node:
        async with open_scene(node) as scene:
            random_actions(node.live, seed=8, count=ACTIONS // 2)
            look = await crashed(scene)
            assert look.market.by_second
            assert await differences(scene, look) == []
            found = all_options(scene, look)
            assert len(found) > 10
            for ref, option in found:
                said = await judge(scene, look, ref, option, option.max_repay)
                assert isinstance(said, SeizeQuote)


@pytest.mark.parametrize("way", list(Way))
async def test_the_executor_carries_out_each_way(scene: Scene, way: Way):
    look = await crashed(scene)
    ref, option = next((r, o) for r, o in all_options(scene, look) if way_of(o) is way)
    who, tokens = scene.live.live.market.accounts, scene.live.live.tokens
    executor = deploy_executor(
        scene.live.live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )
    (debt,) = [one for one in tokens.values() if one.address == option.debt]
    supplier = Sender.of(scene.live.live.rpc, scene.supplier)
    supplier.call(debt, "transfer", executor, 2 * option.max_repay)
    supplier.mine()
    look = await scene.look()
    view, position = scene.view(look, ahead=1), look.positions[ref]
    (option,) = [o for o in scene.adapter.options(view, position) if o.key == option.key]
    quote = scene.adapter.seize(view, position, option, option.max_repay)
    calls = scene.adapter.calls(view, ref, option, quote, executor)
    program = Program(
        deadline=look.block.timestamp + 100,
        profit_token=scene.live.live.market.weth,
        min_profit=0,
        steps=tuple(protocol_call(one) for one in calls),
    )
    (done,) = await scene.chain.simulator.simulate(
        [Transaction(sender=who.keeper, to=executor, data=encode(program))],
        base=look.block,
        timestamp=look.block.timestamp + 12,
        base_fee=0,
        overrides={},
    )
    assert done.success, done.error
    (found,) = scene.adapter.decode(view, done.logs)
    assert (found.ref, found.liquidator, found.repaid) == (ref, executor, quote.repay)
    assert (found.seized, found.protocol_fee) == (quote.seized, quote.protocol_fee)


async def test_a_whole_liquidation_takes_the_gas_on_record(scene: Scene):
    await crashed(scene)
    gas = await gas_of_a_whole_liquidation(scene, "USDC", lambda one: way_of(one) is Way.BORROW)
    on_record("venus isolated, aave flash, one hop", gas)


async def test_a_position_that_was_not_read_again_is_found_by_the_audit(scene: Scene):
    before = await scene.look()
    random_actions(scene.live, seed=7, count=40)
    after = await scene.look()
    stale = replace(after, positions=before.positions)
    sides = await scene.adapter.audit(
        scene.chain.reader, stale.block, scene.view(stale), stale.positions
    )
    assert [one for one in sides.values() if not one.agree]


@pytest.mark.parametrize("field", ["rate", "accrued_at", "reserve_factor"])
async def test_the_audit_names_what_interest_to_come_follows_from(scene: Scene, field: str):
    look = await scene.look()
    ref, position = next((r, p) for r, p in sorted(look.positions.items()) if p.entries)
    market = look.market.markets[position.entries[0].market]
    drifted = replace(market, **{field: getattr(market, field) + 1})
    markets = {**look.market.markets, market.number: drifted}
    view = scene.view(replace(look, market=replace(look.market, markets=markets)))
    chain = scene.chain.reader
    (found,) = (await scene.adapter.audit(chain, look.block, view, {ref: position})).values()
    (wrong,) = [name for name, mine in found.mirror.items() if found.chain[name] != mine]
    assert wrong.startswith(f"{market.symbol} of market {market.number} ")
    assert found.mirror[wrong] == found.chain[wrong] + 1


async def test_prices_are_feeds_times_a_multiplier(scene: Scene):
    look = await scene.look()
    assert all(one.direct for one in scene.adapter.feeds(look.market))

"""The adapter's integers are Morpho's integers, to the wei, over random lives."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.core.errors import ConfigError, StaleError
from keeper.core.lending import AccountRef
from keeper.core.units import WAD
from keeper.core.values import replace
from keeper.devnet.morpho import LocalMorpho, liquidatable
from keeper.devnet.morpho_actions import random_morpho_actions
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.devnet.sender import Sender
from keeper.protocols.morpho_blue import codec, liquidation, rules
from keeper.protocols.morpho_blue.refusals import MorphoRefusedError, Refusal, revert_data
from keeper.protocols.morpho_blue.state import MorphoMarket, RateModel
from tests.support.market_node import MarketNode
from tests.support.morpho_scene import Look, Scene, morpho_node, open_scene

LATER_S = (0, 1, 12, 3_600, 86_400 * 40)


@pytest.fixture(scope="module")
def built(anvil_binary: Path, local_market: MarketNode) -> Iterator[tuple[MarketNode, LocalMorpho]]:
    with morpho_node(anvil_binary, local_market) as made:
        yield made


@pytest.fixture
def node(built: tuple[MarketNode, LocalMorpho]) -> Iterator[tuple[MarketNode, LocalMorpho]]:
    """The built market; what a test does to it is undone."""
    rpc = built[0].live.rpc
    mark = rpc.call("evm_snapshot")
    yield built
    rpc.call("evm_revert", mark)


async def same_totals(scene: Scene, look: Look) -> None:
    """Interest accrued by the rules is what Morpho accrues, at any later time."""
    for wait in LATER_S:
        view = scene.view(look, wait)
        assert {key: line.totals for key, line in view.lines.items()} == await scene.totals(
            look, look.block.timestamp + wait
        ), wait


async def judged(scene: Scene, look: Look, view: MorphoMarket, ref: AccountRef) -> str:
    """Assert that Morpho does what the adapter says of an account; return what it was."""
    position = look.positions[ref]
    options = scene.adapter.options(view, position)
    if not options:
        return await refused(scene, look, view, ref)
    (option,) = options
    for repay in (option.max_repay, option.max_repay // 3 + 1):
        quote = scene.adapter.seize(view, position, option, repay)
        (call,) = scene.adapter.calls(view, ref, option, quote, scene.liquidator)
        (done,) = await scene.attempt(look, [(call.target, call.data)], view.timestamp)
        assert done.success, (ref, quote, done.error)
        (found,) = scene.adapter.decode(view, done.logs)
        assert (found.ref, found.repaid, found.seized) == (ref, quote.repay, quote.seized)
        assert found.repaid <= repay
        if ref.market in view.markets:
            case = liquidation.case_of(view, position)
            assert codec.word_at(found.log, 3) == liquidation.bad_debt(case, quote)
            if codec.word_at(found.log, 3):
                return "bad debt"
    return "early" if ref.market in view.pre_liquidations else "liquidated"


async def refused(scene: Scene, look: Look, view: MorphoMarket, ref: AccountRef) -> str:
    """Assert that Morpho refuses with the reason that the adapter gives."""
    position = look.positions[ref]
    try:
        case = liquidation.case_of(view, position)
        liquidation.full_close(case)
    except MorphoRefusedError as e:
        refusal = e.refusal
    else:
        pytest.fail("expected no option to mean a refusal")
    market = view.market_of(ref.market)
    early = view.pre_liquidations.get(ref.market)
    assert market is not None
    if early is None:
        data, target = codec.liquidate(market.params, ref.account, 0, 1), view.morpho
    else:
        data, target = codec.pre_liquidate(ref.account, 0, 1), early.address
    (done,) = await scene.attempt(look, [(target, data)], view.timestamp)
    assert not done.success
    assert done.return_data == revert_data(refusal), (ref, refusal, done.error)
    return refusal.name.lower()


async def wrong_sides(scene: Scene, look: Look, view: MorphoMarket, ref: AccountRef) -> None:
    """Assert that the input which the adapter did not choose would panic."""
    position = look.positions[ref]
    case = liquidation.case_of(view, position)
    inputs = liquidation.full_close(case).inputs
    other = (0, position.shares) if inputs[0] else (position.collateral, 0)
    taken = rules.amounts_of_seized(
        position.collateral, case.price, case.incentive, case.line.totals
    )
    if taken.repaid_shares == position.shares:
        return
    data = codec.liquidate(case.market.params, ref.account, *other)
    (done,) = await scene.attempt(look, [(view.morpho, data)], view.timestamp)
    assert not done.success
    assert done.return_data == revert_data(Refusal.UNDERFLOW)


@pytest.mark.parametrize("seed", [11, 12])
async def test_random_lives_leave_nothing_to_explain(
    node: tuple[MarketNode, LocalMorpho], seed: int
):
    market_node, local = node
    verdicts: Counter[str] = Counter()
    async with open_scene(market_node, local) as scene:
        look = await scene.look()
        for part in range(3):
            report = random_morpho_actions(local, seed=10 * seed + part, count=40)
            assert sum(report.succeeded.values()) > 20
            look = await scene.follow(look)
            cold = await scene.look()
            assert look.market == cold.market
            kept = {ref: one for ref, one in look.positions.items() if one.shares}
            assert kept == {ref: one for ref, one in cold.positions.items() if one.shares}
            await same_totals(scene, look)
            view = scene.view(look, 12)
            for ref, position in sorted(kept.items()):
                verdict = await judged(scene, look, view, ref)
                verdicts[verdict] += 1
                if verdict in ("liquidated", "bad debt"):
                    assert scene.adapter.assess(view, position).liquidatable
                    await wrong_sides(scene, look, view, ref)
    assert verdicts["healthy"] > 20
    assert verdicts["liquidated"] > 3
    assert verdicts["not_pre_liquidatable"] > 3


async def test_a_crash_brings_bad_debt_and_early_liquidations(
    node: tuple[MarketNode, LocalMorpho],
):
    market_node, local = node
    live = market_node.live
    async with open_scene(market_node, local) as scene:
        verdicts: Counter[str] = Counter()
        for fall_bps in (9_650, 8_800):
            prices = oracle_prices(live)
            push_prices(live, {s: prices[s] * fall_bps // 10_000 for s in ("WETH", "WBTC")})
            push_prices(live, {"wstETH": prices["wstETH"] * (fall_bps - 900) // 10_000})
            look = await scene.look()
            view = scene.view(look, 12)
            for ref in sorted(look.positions):
                if look.positions[ref].shares:
                    verdicts[await judged(scene, look, view, ref)] += 1
            under = {
                ref.account
                for ref, one in look.positions.items()
                if ref.market in view.markets and scene.adapter.assess(view, one).liquidatable
            }
            assert under == set(liquidatable(local))
    assert verdicts["bad debt"] >= 1
    assert verdicts["early"] >= 2
    assert verdicts["liquidatable"] >= 1
    assert verdicts["liquidated"] >= 10


async def test_prices_are_those_of_the_feeds_that_the_oracle_names(
    node: tuple[MarketNode, LocalMorpho],
):
    market_node, local = node
    async with open_scene(market_node, local) as scene:
        look = await scene.look()
        asset = {one.symbol: one for one in market_node.market.assets}
        spoken = oracle_prices(market_node.live)
        feeds = {one.id: one for one in scene.adapter.feeds(look.market)}
        for one in local.markets:
            collateral, loan = asset[one.spec.collateral], asset[one.spec.loan]
            scale = 10 ** (36 + loan.decimals - collateral.decimals)
            oracle = one.params[2]
            expected = scale * spoken[collateral.symbol] // spoken[loan.symbol]
            assert look.prices[oracle].value == expected
            assert feeds[oracle].underlying == (collateral.feed, loan.feed)


async def test_a_market_of_an_unknown_model_is_held_but_not_judged(
    node: tuple[MarketNode, LocalMorpho],
):
    market_node, local = node
    owner = Sender.of(market_node.live.rpc, market_node.market.accounts.deployer)
    odd = owner.deploy(local.artifacts["OddRateModel"])
    owner.call(local.morpho, "enableIrm", odd.address)
    loan, collateral, oracle, _, lltv = local.markets[0].params
    params = (loan, collateral, oracle, odd.address, lltv)
    owner.call(local.morpho, "createMarket", params)
    owner.mine()
    supplier = Sender.of(market_node.live.rpc, market_node.market.accounts.supplier)
    me = supplier.account
    supplier.call(local.morpho, "supply", params, 10**9, 0, me, b"")
    supplier.call(market_node.live.tokens["WETH"], "approve", local.morpho.address, 2**256 - 1)
    supplier.call(local.morpho, "supplyCollateral", params, WAD, me, b"")
    supplier.call(local.morpho, "borrow", params, 10**8, 0, me, me)
    supplier.mine()
    async with open_scene(market_node, local) as scene:
        look = await scene.look()
        (key,) = look.market.markets.keys() - {one.id for one in local.markets}
        assert look.market.markets[key].model is RateModel.UNKNOWN
        position = look.positions[AccountRef(market=key, account=me)]
        assert position.shares
        with pytest.raises(StaleError, match="interest rate model"):
            scene.adapter.assess(scene.view(look), position)


async def test_the_audit_agrees_with_morpho_and_names_what_drifted(
    node: tuple[MarketNode, LocalMorpho],
):
    market_node, local = node
    async with open_scene(market_node, local) as scene:
        look = await scene.look()
        reader, view = scene.chain.reader, scene.view(look)
        owing = {ref: one for ref, one in sorted(look.positions.items()) if one.shares}
        sides = await scene.adapter.audit(reader, look.block, view, owing)
        assert len(sides) == len(owing) > 20
        assert [str(one) for one in sides.values() if not one.agree] == []
        ref, position = next(iter(owing.items()))
        wrong = replace(position, shares=position.shares + 1)
        (found,) = (await scene.adapter.audit(reader, look.block, view, {ref: wrong})).values()
        assert str(found) == f"shares {wrong.shares} in the mirror, {wrong.shares - 1} on chain"


@pytest.mark.parametrize("figure", ["stored_rate", "updated", "fee", "price"])
async def test_the_audit_names_what_health_at_a_later_time_follows_from(
    node: tuple[MarketNode, LocalMorpho], figure: str
):
    market_node, local = node
    async with open_scene(market_node, local) as scene:
        look = await scene.look()
        ref, position = next((r, p) for r, p in sorted(look.positions.items()) if p.shares)
        isolated = look.market.market_of(ref.market)
        assert isolated is not None
        oracle = isolated.params.oracle
        if figure == "price":
            off = replace(look.prices[oracle], value=look.prices[oracle].value + 1)
            look = replace(look, prices={**look.prices, oracle: off})
        else:
            drifted = replace(isolated, **{figure: getattr(isolated, figure) + 1})
            markets = {**look.market.markets, isolated.id: drifted}
            look = replace(look, market=replace(look.market, markets=markets))
        view, chain = scene.view(look), scene.chain.reader
        (found,) = (await scene.adapter.audit(chain, look.block, view, {ref: position})).values()
        name = f"price of {oracle}" if figure == "price" else figure
        assert {n for n in found.mirror if found.mirror[n] != found.chain[n]} == {name}
        assert found.mirror[name] == found.chain[name] + 1


@pytest.mark.parametrize("key", ["morpho", "pre_liquidation_factories"])
async def test_another_contract_in_the_place_of_morphos_is_refused(
    node: tuple[MarketNode, LocalMorpho], key: str
):
    """It logs no event of theirs: it would look like a deployment without loans."""
    market_node, local = node
    other = market_node.market.weth
    async with open_scene(market_node, local) as scene:
        wrong = (other,) if key == "pre_liquidation_factories" else other
        parameters = replace(scene.adapter.parameters, **{key: wrong})  # type: ignore[arg-type]
        adapter = replace(scene.adapter, parameters=parameters)
        head = await scene.chain.reader.head()
        with pytest.raises(ConfigError, match=f"parameters.{key}.*{other}"):
            await adapter.read_market(scene.chain.reader, head, None, None)

"""On a real Pool, what is seized at a price that grows by the second is foreseen to the unit."""

from collections.abc import Mapping

from keeper.app.aiming import Aim
from keeper.app.sight import Look
from keeper.core.tick import Tick
from keeper.devnet.contract import Artifact
from keeper.devnet.crash import crash
from keeper.devnet.sender import Sender
from keeper.scanner.scan import Book, scan
from tests.support.aave_scene import Scene, open_scene
from tests.support.market_node import MarketNode

NEXT_BLOCK_S = 12


def grow(scene: Scene, symbol: str, adapter: Artifact) -> None:
    """Let the price of an asset grow by the second from now on."""
    live = scene.live
    admin = Sender.of(live.rpc, live.market.accounts.deployer)
    asset = live.market.asset(symbol)
    source = admin.deploy(adapter, asset.feed)
    admin.call(live.oracle, "setAssetSources", [asset.token], [source.address])
    admin.mine()


async def test_a_liquidation_is_reckoned_at_the_price_of_its_own_block(
    market_copy: MarketNode, hostile_artifacts: Mapping[str, Artifact]
) -> None:
    for step in crash(market_copy.live):
        if step.number == 6:
            break
    async with open_scene(market_copy.live, market_copy.anvil.http_url) as scene:
        grow(scene, "WBTC", hostile_artifacts["GrowingAdapter"])
        seen = await scene.look()
        wbtc = market_copy.market.asset("WBTC").token
        (moving,) = [one for one in scene.adapter.feeds(seen.market) if one.moves_by_time]
        assert moving.id == wbtc
        book = Book(
            block=seen.block,
            market=seen.market,
            positions=seen.positions,
            prices=seen.prices,
            problems={},
        )
        timestamp = seen.block.timestamp + NEXT_BLOCK_S
        found = scan(
            scene.adapter,
            book,
            number=seen.block.number + 1,
            timestamp=timestamp,
            trigger="the crash",
        )
        look = Look(book=book, held_at=book.block, found=found, tick=Tick())
        aimed = await Aim(scene.adapter, scene.chain.simulator).at_target(look, found.opportunities)
        late = []
        for one in aimed.opportunities:
            position = seen.positions[one.ref]
            for option in one.options:
                if wbtc not in (option.collateral, option.debt):
                    continue
                quote, head = (
                    scene.adapter.seize(view, position, option, option.max_repay // 2)
                    for view in (aimed.view, found.view)
                )
                offer = quote.repay if quote.offer is None else quote.offer
                done = await scene.liquidate(seen, one.ref, option, offer, timestamp)
                (event,) = scene.adapter.decode(seen.market, done.logs)
                assert (event.repaid, event.seized) == (quote.repay, quote.seized)
                late.append(event.seized != head.seized)
        assert any(late)

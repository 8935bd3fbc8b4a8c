"""Adapters are found to be multiples of their feeds, whose events then tell their prices."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import pytest

from keeper.core.units import Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.prices import push_prices
from keeper.oracle.multiples import Multiples
from keeper.oracle.stand_in import StandIns
from tests.support.oracle_stage import OracleStage, oracle_stage

RATIO = 1_187_654_321_098_765_433
AGAIN_AFTER = 64
NEXT_S = 12


@dataclass(slots=True, kw_only=True)
class Post:
    """A watcher that looks at each head for what it may find out."""

    stage: OracleStage
    multiples: Multiples

    async def head(self) -> None:
        """Read the newest block, and find out what is to be known of it."""
        await self.multiples.find_out(await self.stage.read())

    def tells(self, symbol: str) -> bool:
        return self.stage.watcher.telling.tells(self.stage.key(symbol))

    async def moved(self, **answers: int) -> tuple[Mapping[str, int] | None, Mapping[str, int]]:
        """Submit answers in a block; return what its events tell, and what is read after them."""
        stage, before = self.stage, self.stage.book
        assert before is not None
        reader = stage.scene.chain.reader
        block = await reader.block(push_prices(stage.live, answers))
        logs = await reader.logs_at(stage.watcher.log_filter(), block)
        told = stage.watcher.moves(before.evidence, logs)
        after = await stage.read()
        return told, {key: price.value for key, price in after.prices.items()}


stage = pytest.fixture(oracle_stage)


async def watched(stage: OracleStage) -> Post:
    """Follow the market's feeds as they are now, and find out about them."""
    await stage.follow()
    chain = stage.scene.chain
    multiples = Multiples(stage.watcher, chain.preview, StandIns(chain.reader))
    post = Post(stage=stage, multiples=multiples)
    await post.head()
    return post


def source(stage: OracleStage, name: str, *arguments: object) -> Address:
    """Deploy a source of ``wstETH`` and have the market's oracle read it."""
    adapter = stage.deploy(name, *arguments)
    stage.set_source("wstETH", adapter.address)
    return adapter.address


def feed(stage: OracleStage, symbol: str) -> Address:
    return stage.live.market.asset(symbol).feed


@pytest.mark.parametrize("form", ["ratio", "capped", "pegged"])
async def test_events_tell_what_an_adapter_answers_to_the_last_digit(
    stage: OracleStage, form: str, parity_report: list[str]
) -> None:
    parts, told = ["WETH"], 0
    if form == "pegged":
        source(stage, "PeggedAdapter", feed(stage, "WETH"), feed(stage, "DAI"))
        parts.append("DAI")
    else:
        adapter = stage.deploy("RatioAdapter", feed(stage, "WETH"))
        stage.do(adapter, "setRatio", RATIO)
        if form == "capped":
            stage.do(adapter, "setCap", RATIO - 10**17)
        stage.set_source("wstETH", adapter.address)
    post, random = await watched(stage), Random(7)  # noqa: S311 - prices, not secrets
    assert post.tells("wstETH")
    for _ in range(25):
        symbols = random.sample(parts, random.randint(1, len(parts)))
        answers = {
            one: ASSETS[one].price * random.randint(1, 40_000) // 10_000 + 1 for one in symbols
        }
        moves, read = await post.moved(**answers)
        assert moves is not None
        assert stage.key("wstETH") in moves
        assert moves == {key: read[key] for key in moves}
        told += 1
    parity_report.append(f"prices of Aave's adapters ({form}) told by events: {told}")


async def test_a_ratio_that_changed_is_read_until_it_is_asked_for_again(stage: OracleStage) -> None:
    adapter = stage.deploy("RatioAdapter", feed(stage, "WETH"))
    stage.set_source("wstETH", adapter.address)
    post = await watched(stage)
    assert post.tells("wstETH")
    stage.do(adapter, "setRatio", RATIO)
    await post.head()
    assert not post.tells("wstETH")
    moves, read = await post.moved(WETH=2_000 * 10**8)
    assert moves is None
    assert read[stage.key("wstETH")] == 2_000 * 10**8 * RATIO // 10**18
    stage.rpc.call("anvil_mine", hex(AGAIN_AFTER))
    await post.head()
    assert post.tells("wstETH")
    moves, read = await post.moved(WETH=2_100 * 10**8)
    assert moves is not None
    assert moves[stage.key("wstETH")] == read[stage.key("wstETH")]


async def test_a_ratio_that_grows_by_the_second_is_read(stage: OracleStage) -> None:
    source(stage, "GrowingAdapter", feed(stage, "WETH"))
    post = await watched(stage)
    for _ in range(3):
        stage.wait(NEXT_S)
        await post.head()
        assert not post.tells("wstETH")
    moves, _ = await post.moved(WETH=2_000 * 10**8)
    assert moves is None


async def test_nor_is_one_told_whose_feed_grows_by_the_second(stage: OracleStage) -> None:
    ratio = stage.deploy("GrowingFeed")
    source(stage, "PeggedAdapter", ratio.address, feed(stage, "WETH"))
    post = await watched(stage)
    assert len(stage.watcher.followed(stage.key("wstETH")).leaves) == len(("ratio", "WETH"))
    for _ in range(3):
        stage.wait(NEXT_S)
        await post.head()
        assert not post.tells("wstETH")


async def test_events_tell_what_a_capped_dollar_is(stage: OracleStage) -> None:
    cap, key = 10**8 + 10**6, stage.key("wstETH")
    source(stage, "CappedDollar", feed(stage, "DAI"), cap)
    post = await watched(stage)
    for answer in (10**8, cap - 1, cap, cap + 1, 2 * cap, 10**7, 10**8):
        assert post.tells("wstETH")
        moves, read = await post.moved(DAI=answer)
        assert moves is not None
        assert moves[key] == read[key] == min(answer, cap)


async def test_what_is_made_of_other_feeds_is_asked_anew(stage: OracleStage) -> None:
    source(stage, "RatioAdapter", feed(stage, "WETH"))
    post = await watched(stage)
    assert post.tells("wstETH")
    source(stage, "RatioAdapter", feed(stage, "WBTC"))
    head = await stage.head()
    market = await stage.scene.adapter.read_market(stage.scene.chain.reader, head, None, None)
    await stage.watcher.keep_following(stage.scene.adapter.feeds(market), head)
    await post.head()
    assert post.tells("wstETH")
    moves, read = await post.moved(WBTC=50_000 * 10**8)
    assert moves is not None
    assert moves[stage.key("wstETH")] == read[stage.key("wstETH")] == 50_000 * 10**8


async def test_nobody_is_asked_whose_price_events_tell(stage: OracleStage) -> None:
    await stage.follow()
    assert stage.book is not None
    chain = stage.scene.chain
    multiples = Multiples(stage.watcher, chain.preview, StandIns(chain.reader))
    multiples.look(stage.book)
    assert multiples._answer is None

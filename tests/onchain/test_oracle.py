"""Events of real aggregators: a block's prices are one fact, and a bad answer is no price."""

import pytest

from keeper.core.chain import BlockRef, Log
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.devnet.prices import oracle_prices, push_prices
from keeper.oracle.book import PriceBook
from tests.support.oracle_stage import OracleStage, oracle_stage

stage = pytest.fixture(oracle_stage)


async def pushed(stage: OracleStage, *symbols: str) -> tuple[BlockRef, list[Log]]:
    """Let the feeds of some assets fall by a tenth in one block; return it and its events."""
    now = oracle_prices(stage.live)
    push_prices(stage.live, {symbol: now[symbol] * 9 // 10 for symbol in symbols})
    head = await stage.head()
    logs = await stage.scene.chain.reader.logs_at(stage.watcher.log_filter(), head)
    assert len(logs) == len(symbols)
    return head, logs


def values(book: PriceBook) -> dict[str, tuple[int, int]]:
    return {key: (price.value, price.updated_at) for key, price in book.prices.items()}


async def test_the_events_of_a_block_say_what_reading_it_says(stage: OracleStage) -> None:
    before = await stage.follow()
    head, logs = await pushed(stage, "WETH", "WBTC", "DAI")
    book = before
    for log in logs:
        book = stage.watcher.apply(book, log, head)
    assert values(book) == values(await stage.watcher.read(head, before))
    assert book.problems == {}
    moved = sorted(book.moved.split(", "))
    assert moved == ["DAI -10.00 %", "WBTC -10.00 %", "WETH -10.00 %"]


async def test_events_in_any_order_and_twice_come_to_the_same_prices(stage: OracleStage) -> None:
    before = await stage.follow()
    head, logs = await pushed(stage, "WETH", "WBTC")
    ways = [logs, logs[::-1], [*logs, *logs]]
    books = []
    for way in ways:
        book = before
        for log in way:
            book = stage.watcher.apply(book, log, head)
        books.append(values(book))
    assert books[0] == books[1] == books[2]


async def test_an_event_moves_its_own_feed_alone(stage: OracleStage) -> None:
    before = await stage.follow()
    head, (log,) = await pushed(stage, "WETH")
    after = stage.watcher.apply(before, log, head)
    changed = {key for key in after.prices if after.prices[key] != before.prices[key]}
    assert changed == {stage.key("WETH")}


async def test_a_removed_a_foreign_and_a_garbled_event_move_nothing(stage: OracleStage) -> None:
    before = await stage.follow()
    head, (log,) = await pushed(stage, "WETH")
    for bad in (
        replace(log, removed=True),
        replace(log, address=stage.live.market.pool),
        replace(log, topics=(Hash32("0x" + "ab" * 32), *log.topics[1:])),
        replace(log, topics=log.topics[:1]),
        replace(log, data=b""),
    ):
        assert stage.watcher.apply(before, bad, head) == before


@pytest.mark.parametrize("answer", [0, -1, -(2**255)])
async def test_an_answer_of_zero_or_less_is_a_problem_and_never_a_price(
    stage: OracleStage, answer: int
) -> None:
    before = await stage.follow()
    head, (log,) = await pushed(stage, "WETH")
    word = Hash32(f"0x{answer % 2**256:064x}")
    bad = replace(log, topics=(log.topics[0], word, *log.topics[2:]))
    after = stage.watcher.apply(before, bad, head)
    key = stage.key("WETH")
    assert key not in after.prices
    assert after.problems == {key: f"WETH: expected a positive price, found {answer}"}
    assert after.moved == "WETH lost"
    # A good answer afterwards is a price again.
    mended = stage.watcher.apply(after, log, head)
    assert mended.problems == {}
    assert mended.prices[key].value == oracle_prices(stage.live)["WETH"]

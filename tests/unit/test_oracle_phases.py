"""Feeds are found out about when they are new, or a part of them is; no others cost a look then."""

from typing import cast

import pytest

from keeper.core.chain import Call
from keeper.core.errors import StaleError
from keeper.core.lending import Feed
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.words import selector
from keeper.oracle.feeds import MOST_LEAVES
from keeper.oracle.sources import PROBE_GAS
from keeper.oracle.watcher import PriceWatcher
from tests.support.ledger_records import account, block
from tests.support.scripted_reader import ScriptedReader, words

PRICE, ROUND, AGGREGATOR = (
    selector(one) for one in ("price()", "latestRoundData()", "aggregator()")
)
PEG = selector("ASSET_TO_PEG()")
OURS, THEIRS, OUR_PROXY, THEIR_PROXY, BOTH = (account(number) for number in range(1, 6))
FIRST, SECOND = account(6), account(7)


def feed(oracle: Address, *proxies: Address) -> Feed:
    return Feed(
        id=oracle,
        label=oracle[-2:],
        read=Call(to=oracle, data=PRICE),
        source=oracle,
        direct=False,
        underlying=proxies,
    )


FEEDS = [feed(OURS, OUR_PROXY), feed(THEIRS, THEIR_PROXY), feed(BOTH, OUR_PROXY, THEIR_PROXY)]


def answers(phase: int, behind: Address) -> dict[tuple[Address, bytes], bytes]:
    """Return what is said where one proxy answers from its aggregator of a phase."""
    return {
        **{(one, PRICE): words(int(one, 16)) for one in (OURS, THEIRS, BOTH)},
        (OUR_PROXY, ROUND): words(1 << 64, 7, 1, 1, 1),
        (THEIR_PROXY, ROUND): words(phase << 64, 7, 1, 1, 1),
        (OUR_PROXY, AGGREGATOR): words(int(FIRST, 16)),
        (THEIR_PROXY, AGGREGATOR): words(int(behind, 16)),
    }


@pytest.mark.parametrize("is_adapter", [False, True])
async def test_an_event_tells_the_price_only_of_what_is_read_itself(
    is_adapter: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """What is read may be made of another feed, and answer as that does but for a cap."""
    said = answers(1, FIRST)
    if is_adapter:
        said |= {(OURS, ROUND): words(1 << 64, 7, 1, 1, 1), (OURS, PEG): words(int(OUR_PROXY, 16))}
    source = OURS if is_adapter else OUR_PROXY
    price = Feed(id="a", label="a", read=Call(to=source, data=ROUND), source=source, direct=True)
    watcher = PriceWatcher(cast("Reader", ScriptedReader(answers=said)))
    await watcher.keep_following([price], block(1))
    assert watcher.following.by_aggregator == {FIRST: ("a",)}
    assert watcher.tells("a") is not is_adapter


async def test_those_that_are_made_of_it_are_found_out_about_and_no_others() -> None:
    reader = ScriptedReader(answers=answers(1, FIRST))
    watcher = PriceWatcher(cast("Reader", reader))
    await watcher.keep_following(FEEDS, block(1))
    before = await watcher.read(block(1), None)
    reader.answers, reader.rounds = answers(2, SECOND), []
    book = await watcher.read(block(2), before)
    assert {key: one.value for key, one in book.prices.items()} == {
        one.id: int(one.id, 16) for one in FEEDS
    }
    assert probed(reader) == {THEIRS, THEIR_PROXY, BOTH, OUR_PROXY}
    following = watcher.following
    assert list(following.feeds) == [one.id for one in FEEDS]
    assert following.by_aggregator == {FIRST: (OURS, BOTH), SECOND: (THEIRS, BOTH)}
    assert {key: one.phase for key, one in following.leaves.items()} == {
        OUR_PROXY: 1,
        THEIR_PROXY: 2,
    }


def probed(reader: ScriptedReader) -> set[Address]:
    return {call.to for each in reader.rounds for call in each if call.data == AGGREGATOR}


async def test_one_that_begins_is_found_out_about_and_no_other() -> None:
    reader = ScriptedReader(answers=answers(1, SECOND))
    watcher = PriceWatcher(cast("Reader", reader))
    await watcher.keep_following([FEEDS[0], FEEDS[2]], block(1))
    reader.rounds = []
    await watcher.keep_following(FEEDS, block(2))
    assert probed(reader) == {THEIRS, THEIR_PROXY}
    assert list(watcher.following.feeds) == [one.id for one in FEEDS]
    assert watcher.following.by_aggregator == {FIRST: (OURS, BOTH), SECOND: (THEIRS, BOTH)}
    reader.rounds = []
    await watcher.keep_following(FEEDS[1:], block(3))
    assert probed(reader) == set()
    assert watcher.following.by_aggregator == {SECOND: (THEIRS, BOTH), FIRST: (BOTH,)}


async def test_one_that_shares_a_part_that_is_another_by_now_is_found_out_about_too() -> None:
    reader = ScriptedReader(answers=answers(1, FIRST))
    watcher = PriceWatcher(cast("Reader", reader))
    await watcher.keep_following([FEEDS[0], FEEDS[2]], block(1))
    reader.answers, reader.rounds = answers(2, SECOND), []
    await watcher.keep_following(FEEDS, block(2))
    await watcher.read(block(2), None)
    assert OURS not in probed(reader)
    assert watcher.following.by_aggregator == {FIRST: (OURS, BOTH), SECOND: (THEIRS, BOTH)}


async def test_a_part_that_anybody_may_name_is_given_no_more_gas_than_a_probe() -> None:
    reader = ScriptedReader(answers=answers(1, SECOND))
    watcher = PriceWatcher(cast("Reader", reader))
    doubted = replace(FEEDS[1], read=replace(FEEDS[1].read, gas=3_000_000))
    await watcher.keep_following([FEEDS[0], doubted], block(1))
    reader.rounds = []
    await watcher.read(block(1), None)
    gas = {call.to: call.gas for call in reader.rounds[0] if call.data == ROUND}
    assert gas == {OUR_PROXY: None, THEIR_PROXY: PROBE_GAS}


@pytest.mark.parametrize(("many", "is_fit"), [(MOST_LEAVES, True), (MOST_LEAVES + 1, False)])
async def test_of_a_price_of_too_many_feeds_none_is_listened_to_and_it_is_not_acted_on(
    many: int,
    is_fit: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    proxies = [account(100 + number) for number in range(many)]
    said = {(one, ROUND): words(1 << 64, 7, 1, 1, 1) for one in proxies}
    behind = {(one, AGGREGATOR): words(int(one, 16) + 1_000) for one in proxies}
    reader = ScriptedReader(answers={**answers(1, SECOND), **said, **behind})
    watcher = PriceWatcher(cast("Reader", reader))
    await watcher.keep_following([FEEDS[0], feed(THEIRS, *proxies)], block(1))
    book = await watcher.read(block(1), None)
    assert len(watcher.log_filter().addresses) == (1 + many if is_fit else 1)
    assert book.prices[THEIRS].value == int(THEIRS, 16)
    problem = f"expected at most 16 feeds that it is made of, found {many}"
    assert (problem in book.problems.get(THEIRS, "")) is not is_fit
    assert OURS not in book.problems


async def test_a_feed_that_is_followed_no_more_leaves_its_head_to_the_next() -> None:
    """Who signs ahead awaits the node between two looks at a feed."""
    watcher = PriceWatcher(cast("Reader", ScriptedReader(answers=answers(1, FIRST))))
    await watcher.keep_following(FEEDS, block(1))
    book = await watcher.read(block(1), None)
    await watcher.keep_following(FEEDS[1:], block(2))
    assert watcher.followed(BOTH).feed == FEEDS[2]
    with pytest.raises(StaleError, match="expected it to be followed"):
        watcher.followed(OURS)
    with pytest.raises(StaleError, match="expected it to be followed"):
        watcher.moving_with(OURS)
    with pytest.raises(StaleError, match="expected it to be followed"):
        watcher.admits(book, OURS, 5, block(2), falls=True)

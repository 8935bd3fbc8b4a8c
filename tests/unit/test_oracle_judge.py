"""A leap is a leap, also where the feed could not be read on the way."""

import pytest

from keeper.core.chain import Call
from keeper.core.lending import Feed
from keeper.core.units import address
from keeper.oracle.book import Evidence, PriceBook
from keeper.oracle.chainlink import Round
from keeper.oracle.feeds import FollowedFeed, Following
from keeper.oracle.guards import Hold, SpikeRule
from keeper.oracle.judge import Judge
from keeper.oracle.policy import OraclePolicy
from keeper.oracle.sources import Leaf
from tests.support.ledger_records import block

KEY, OTHER, MADE = "WETH", "WBTC", "wstETH"
PAUSE = 3
PARTS = tuple(
    Leaf(proxy=one, aggregator=one, phase=1)
    for one in map(address, ("0x" + "a1" * 20, "0x" + "a2" * 20))
)
"""Of the feed that is made of others."""


def followed(key: str, leaves: tuple[Leaf, ...]) -> FollowedFeed:
    source = address("0x" + "fe" * 20)
    read = Call(to=source, data=b"")
    feed = Feed(id=key, label=key, source=source, read=read, direct=False)
    return FollowedFeed(feed=feed, leaves=leaves, heartbeats_s={}, second=None, unfit=None)


@pytest.fixture
def judge() -> Judge:
    feeds = {KEY: followed(KEY, ()), OTHER: followed(OTHER, ()), MADE: followed(MADE, PARTS)}
    return Judge(
        following=Following(feeds=feeds, by_aggregator={}, leaves={}),
        policy=OraclePolicy(spike=SpikeRule(most_bps=3_000, pause_blocks=PAUSE)),
    )


def told(judge: Judge, *values: int | None, first: int = 1) -> PriceBook:
    """Return the book after one value of the feed a block; None is a revert."""
    nothing = PriceBook(block=block(first), prices={}, problems={})
    book = nothing
    for number, value in enumerate(values, first):
        book = judge.written(nothing, {KEY: value}, Evidence(), block(number), book)
    return book


@pytest.mark.parametrize("lost", [None, 0, -1])
@pytest.mark.parametrize("blocks", [1, PAUSE + 1])
def test_a_leap_over_blocks_without_the_price_is_held(
    judge: Judge, lost: int | None, blocks: int
) -> None:
    book = told(judge, 1_000, *[lost] * blocks, 500)
    assert "found -50 %" in book.problems[KEY]


def test_a_leap_that_is_held_is_not_forgotten_with_the_price(judge: Judge) -> None:
    assert "found -50 %" in told(judge, 1_000, 500, None, 500).problems[KEY]


def test_a_price_that_was_lost_and_comes_back_where_it_was_is_acted_on(judge: Judge) -> None:
    assert not told(judge, 1_000, None, 1_010).problems
    assert not told(judge, 1_000, 500, None, 1_000).problems


def test_a_price_that_stays_after_it_was_lost_is_believed_after_the_pause(judge: Judge) -> None:
    assert KEY in told(judge, 1_000, None, *[500] * (PAUSE - 1)).problems
    assert not told(judge, 1_000, None, *[500] * PAUSE).problems


def test_a_price_that_never_was_has_nothing_to_leap_from(judge: Judge) -> None:
    assert not told(judge, None, 500).problems


def test_what_only_moves_is_measured_from_the_block_before(judge: Judge) -> None:
    """Four moves of a fifth are no leap, nor is what was lost long ago and found since."""
    book = told(judge, 1_000, None, 1_200, 1_440, 1_728, 2_073)
    assert (book.problems, book.holds) == ({}, {})
    assert told(judge, None, None).holds == {}


def test_an_event_of_another_feed_does_not_release_what_is_held(judge: Judge) -> None:
    """Else the price that leapt would be what the next block's is measured from."""
    held = told(judge, 1_000, 500)
    book = judge.updated(held, {OTHER: 60_000}, Evidence(), block(3))
    assert book.holds == held.holds == {KEY: Hold(reference=1_000, since=2)}
    assert book.problems == held.problems
    assert book.prices == {**held.prices, OTHER: book.prices[OTHER]}
    nothing = PriceBook(block=block(1), prices={}, problems={})
    head = judge.written(nothing, {KEY: 500, OTHER: 60_000}, Evidence(), block(4), book)
    assert set(head.problems) == {KEY}


def test_a_price_that_is_told_anew_is_judged_anew(judge: Judge) -> None:
    held = told(judge, 1_000, 500)
    back = judge.updated(held, {KEY: 990}, Evidence(), block(3))
    assert (back.problems, back.holds) == ({}, {})
    lost = judge.updated(held, {KEY: None}, Evidence(), block(3))
    assert lost.prices == {}
    assert lost.problems == {KEY: "WETH: expected a price, found a revert"}


def test_where_nothing_may_be_done_on_the_chain_no_price_is_acted_on(judge: Judge) -> None:
    nothing = PriceBook(block=block(1), prices={}, problems={})
    values = {KEY: 1_000, OTHER: 60_000}
    book = judge.written(nothing, values, Evidence(chain="down"), block(1), nothing)
    assert book.problems == {KEY: "down", OTHER: "down"}
    assert {key: one.value for key, one in book.prices.items()} == values
    later = judge.written(nothing, {KEY: 500}, Evidence(chain="down"), block(2), book)
    assert later.problems[KEY].endswith("; down")
    assert later.problems[KEY].startswith("WETH: expected to move by at most 30 %")


def test_a_price_is_as_old_as_its_oldest_part_that_tells(judge: Judge) -> None:
    old, new = (Round(answer=1, started_at=at, updated_at=at, phase=1) for at in (1_000, 2_000))
    first, second = (one.proxy for one in PARTS)
    nothing = PriceBook(block=block(1), prices={}, problems={})

    def updated_at(**rounds: Round | None) -> int:
        known = {first: rounds.get("first"), second: rounds.get("second")}
        book = judge.written(nothing, {MADE: 1}, Evidence(rounds=known), block(1), nothing)
        return book.prices[MADE].updated_at

    assert updated_at(first=old, second=new) == updated_at(first=new, second=old) == 1_000
    assert updated_at(first=new) == 2_000
    assert updated_at() == block(1).timestamp


def test_what_moved_is_told_of_all_events_of_a_block(judge: Judge) -> None:
    nothing = PriceBook(block=block(1), prices={}, problems={})
    values = {KEY: 1_000, OTHER: 60_000}
    first = judge.written(nothing, values, Evidence(), block(1), nothing)
    assert first.moved == ""
    one = judge.updated(first, {KEY: 1_010}, Evidence(), block(2))
    two = judge.updated(one, {OTHER: None}, Evidence(), block(2))
    assert (one.moved, two.moved) == ("WETH +1.00 %", "WETH +1.00 %, WBTC lost")
    next_one = judge.updated(two, {OTHER: 60_000, KEY: 1_010}, Evidence(), block(3))
    assert next_one.moved == "WBTC found"
    same = judge.updated(next_one, {OTHER: 59_997}, Evidence(), block(4))
    assert same.moved == "WBTC -0.01 %"

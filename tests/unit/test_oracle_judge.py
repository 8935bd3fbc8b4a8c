"""A leap is a leap, also where the feed could not be read on the way."""

import pytest

from keeper.core.chain import Call
from keeper.core.lending import Feed
from keeper.core.units import address
from keeper.oracle.book import Evidence, PriceBook
from keeper.oracle.feeds import FollowedFeed, Following
from keeper.oracle.guards import SpikeRule
from keeper.oracle.judge import Judge
from keeper.oracle.policy import OraclePolicy
from tests.support.ledger_records import block

KEY = "WETH"
PAUSE = 3


@pytest.fixture
def judge() -> Judge:
    source = address("0x" + "fe" * 20)
    read = Call(to=source, data=b"")
    feed = Feed(id=KEY, label="WETH", source=source, read=read, direct=False)
    one = FollowedFeed(feed=feed, leaves=(), heartbeats_s={}, second=None, unfit=None)
    return Judge(
        following=Following(feeds={KEY: one}, by_aggregator={}, leaves={}),
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

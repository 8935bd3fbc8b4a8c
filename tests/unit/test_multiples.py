"""Whom one asks how its price follows from its feeds, how often, and what is made of no answer."""

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from keeper.core.chain import BlockRef, Call, Simulated, StateOverride, Transaction
from keeper.core.errors import KeeperError, RefusedError, StaleError, TransientError
from keeper.core.lending import Feed, Price
from keeper.core.ports import Reader
from keeper.core.units import Address, address
from keeper.core.values import replace
from keeper.evm.words import selector
from keeper.oracle.book import Evidence, PriceBook
from keeper.oracle.chainlink import Round
from keeper.oracle.feeds import FollowedFeed, following_of
from keeper.oracle.judge import Judge
from keeper.oracle.multiples import Multiples
from keeper.oracle.policy import NO_POLICY
from keeper.oracle.sources import Leaf
from keeper.oracle.stand_in import StandIns
from keeper.oracle.watcher import PriceWatcher
from tests.support.lending_desk import BLOCK
from tests.support.scripted_reader import ScriptedReader, words

ASSET, ADAPTER, PROXY, OTHER, THIRD, ANOTHER, BROKEN = (address(f"0x{n:040x}") for n in range(1, 8))
BEHIND = {
    proxy: address(f"0x{n:040x}") for n, proxy in enumerate((PROXY, OTHER, THIRD, BROKEN), 16)
}
ANSWER, RATIO = 3_000 * 10**8, 1_234_567_890_123_456_789
READ = Call(to=ADAPTER, data=b"\x01")
DECIMALS = selector("decimals()")
AGAIN_AFTER = 64


class Adapter:
    """Answers what a ratio makes of a stand-in's answer; or fails, or says nothing."""

    def __init__(self, ratio: int | None = RATIO) -> None:
        self.ratio = ratio
        self.failure: KeeperError | None = None
        self.asked: list[tuple[int, frozenset[Address]]] = []

    async def simulate(
        self,
        transactions: Sequence[Transaction],
        *,
        base: BlockRef,
        timestamp: int,
        base_fee: int,
        overrides: Mapping[Address, StateOverride],
    ) -> list[Simulated]:
        del base_fee, timestamp
        self.asked.append((base.number, frozenset(overrides)))
        if self.failure is not None:
            raise self.failure
        said = b"" if self.ratio is None else words(10**27 * self.ratio // 10**18)
        one = Simulated(success=bool(said), gas_used=0, logs=(), return_data=said, error="")
        return [one] * len(transactions)


def leaf(proxy: Address = PROXY) -> Leaf:
    return Leaf(proxy=proxy, aggregator=BEHIND[proxy], phase=1)


def followed(
    *leaves: Leaf,
    key: Address = ASSET,
    source: Address = ADAPTER,
    direct: bool = False,
    gas: int | None = None,
) -> FollowedFeed:
    return FollowedFeed(
        feed=Feed(
            id=key, label="staked", read=replace(READ, gas=gas), source=source, direct=direct
        ),
        leaves=leaves,
        heartbeats_s={},
        second=None,
        unfit=None,
    )


class Desk:
    """One adapter, looked at head by head."""

    def __init__(self, one: FollowedFeed | None = None, ratio: int | None = RATIO) -> None:
        self.decimals = {(proxy, DECIMALS): words(8) for proxy in (PROXY, OTHER, THIRD)}
        self.reader = ScriptedReader(answers=self.decimals)
        reader = cast("Reader", self.reader)
        self.silent: Address | None = None
        self.watcher = PriceWatcher(reader)
        self.node = Adapter(ratio)
        self.multiples = Multiples(self.watcher, self.node, StandIns(reader))
        self.follow(one or followed(leaf()))

    def follow(self, *feeds: FollowedFeed) -> None:
        following = following_of({one.feed.id: one for one in feeds})
        self.watcher._judge = Judge(following=following, policy=NO_POLICY)

    async def head(self, number: int, price: int = ANSWER * RATIO // 10**18) -> bool:
        """Return whether events tell the price, once all is found out that is to be at a head."""
        latest = Round(answer=ANSWER, started_at=1, updated_at=1, phase=1)
        proxies = self.watcher.following.leaves
        rounds = {one: None if one == self.silent else latest for one in proxies}
        book = PriceBook(
            block=replace(BLOCK, number=number),
            prices={
                key: Price(value=price, block=number, updated_at=1)
                for key in self.watcher.following.feeds
            },
            problems={},
            evidence=Evidence(rounds=rounds),
        )
        self.watcher.telling.read(book)
        await self.multiples.find_out(book)
        return self.watcher.tells(ASSET)


async def test_an_adapter_is_asked_once_and_its_price_told() -> None:
    desk = Desk()
    assert [await desk.head(number) for number in range(1, 4)] == [True] * 3
    assert desk.node.asked == [(1, frozenset({PROXY}))]


async def test_a_price_that_is_no_multiple_is_asked_for_seldom() -> None:
    desk, price = Desk(), ANSWER * RATIO // 10**18 + 1
    told = [await desk.head(number, price) for number in range(1, 2 * AGAIN_AFTER + 2)]
    assert not any(told)
    assert [block for block, _ in desk.node.asked] == [1, 1 + AGAIN_AFTER, 1 + 2 * AGAIN_AFTER]


@pytest.mark.parametrize("failure", [TransientError, StaleError])
async def test_where_no_node_answers_it_is_asked_again_soon_and_then_ever_later(
    failure: type[KeeperError],
) -> None:
    desk = Desk()
    desk.node.failure = failure("none")
    for number in range(1, 3 * AGAIN_AFTER + 1):
        assert not await desk.head(number)
    assert [block for block, _ in desk.node.asked] == [1, 2, 4, 8, 16, 32, 64, 128, 192]
    desk.node.failure = None
    assert not await desk.head(4 * AGAIN_AFTER - 1)
    assert await desk.head(4 * AGAIN_AFTER)
    desk.follow(followed(leaf(OTHER)))
    desk.node.failure = failure("none")
    assert not await desk.head(1_000)
    desk.node.failure = None
    assert await desk.head(1_001)


async def test_an_adapter_that_refuses_waits_its_turn() -> None:
    desk = Desk()
    desk.node.failure = RefusedError("none")
    assert not await desk.head(1)
    desk.node.failure = None
    assert not await desk.head(AGAIN_AFTER)
    assert await desk.head(1 + AGAIN_AFTER)


async def test_what_all_adapters_feeds_say_of_themselves_is_read_in_one_wait() -> None:
    desk = Desk()
    desk.follow(*(followed(leaf(one), key=one) for one in (PROXY, OTHER, THIRD)))
    await desk.head(1)
    assert [[call.to for call in each] for each in desk.reader.rounds] == [[PROXY, OTHER, THIRD]]


async def test_an_error_of_ours_is_not_taken_for_no_answer() -> None:
    desk = Desk()
    desk.node.failure = KeeperError("ours")
    with pytest.raises(KeeperError, match="ours"):
        await desk.head(1)


@pytest.mark.parametrize("ratio", [None, 0])
async def test_an_adapter_that_says_nothing_is_read(ratio: int | None) -> None:
    assert not await Desk(ratio=ratio).head(1)


@pytest.mark.parametrize(
    "one",
    [
        followed(),
        followed(leaf(), source=PROXY, direct=True),
        followed(leaf(), gas=300_000),
        followed(leaf(), leaf(OTHER), leaf(THIRD)),
        followed(leaf(), replace(leaf(OTHER), aggregator=OTHER)),
        followed(replace(leaf(), is_late=True)),
    ],
    ids=[
        "of no feed",
        "a feed's own",
        "anybody's",
        "of three feeds",
        "of one that emits nothing",
        "late",
    ],
)
async def test_who_is_not_asked(one: FollowedFeed) -> None:
    desk = Desk(one)
    assert not await desk.head(1)
    assert desk.node.asked == []


async def test_an_adapter_whose_answer_the_price_is_is_asked_like_any_other() -> None:
    """A fork of Compound reads a feed that may be an adapter of another one."""
    desk = Desk(followed(leaf(), direct=True))
    assert await desk.head(1)
    assert desk.node.asked == [(1, frozenset({PROXY}))]


async def test_one_that_is_made_of_others_is_asked_at_once() -> None:
    desk = Desk()
    assert await desk.head(1)
    desk.follow(followed(leaf(OTHER)))
    assert await desk.head(2)
    assert desk.node.asked == [(1, frozenset({PROXY})), (2, frozenset({OTHER}))]


@pytest.mark.parametrize("lacks", ["decimals", "a round"])
async def test_a_feed_that_nothing_can_stand_in_for_keeps_no_other_adapter_from_being_asked(
    lacks: str,
) -> None:
    desk = Desk()
    desk.follow(followed(leaf(BROKEN), key=ANOTHER), followed(leaf()))
    if lacks == "a round":
        desk.silent = BROKEN
        desk.decimals[BROKEN, DECIMALS] = words(8)
    assert await desk.head(1)
    assert desk.node.asked == [(1, frozenset({PROXY}))]
    assert not desk.watcher.tells(ANOTHER)
    desk.follow(followed(leaf(BROKEN)))
    assert not await desk.head(2)
    assert len(desk.node.asked) == 1


async def test_a_ratio_that_is_set_anew_long_after_it_was_asked_for_is_asked_for_at_once() -> None:
    desk, later, ratio = Desk(), 3 * AGAIN_AFTER, RATIO + 1_000_000_000
    assert await desk.head(1)
    desk.node.ratio, price = ratio, ANSWER * ratio // 10**18
    assert await desk.head(later, price)
    assert [block for block, _ in desk.node.asked] == [1, later]

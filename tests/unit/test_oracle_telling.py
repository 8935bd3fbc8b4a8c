"""What an event tells of prices that are reckoned from several feeds, and when it tells nothing."""

from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.chain import Call, LogHint
from keeper.core.lending import Feed, Formula, Price
from keeper.core.units import Address, address
from keeper.core.values import replace
from keeper.oracle.book import Evidence, PriceBook
from keeper.oracle.chainlink import ANSWER_UPDATED, Round
from keeper.oracle.feeds import FollowedFeed, Following, _formula, _pivot
from keeper.oracle.sources import Leaf
from keeper.oracle.telling import Telling
from keeper.oracle.watcher import PriceWatcher
from tests.support.ledger_records import block

ORACLE, ETHER, DOLLAR = (address(f"0x{n:040x}") for n in (1, 2, 3))
EVENTS_OF_ETHER, EVENTS_OF_DOLLAR = (address(f"0x{n:040x}") for n in (4, 5))
FORMULA = Formula(scale=10**24, over=(ETHER,), under=(DOLLAR,))
LEAVES = (
    Leaf(proxy=ETHER, aggregator=EVENTS_OF_ETHER, phase=1, low=10, high=10**14),
    Leaf(proxy=DOLLAR, aggregator=EVENTS_OF_DOLLAR, phase=1),
)
NOW = {ETHER: 3_000 * 10**8, DOLLAR: 10**8}
HEAD = 7


def following(*, formula: Formula = FORMULA, leaves: tuple[Leaf, ...] = LEAVES) -> Following:
    feed = Feed(
        id=ORACLE,
        label="WETH/USDC",
        read=Call(to=ORACLE, data=b""),
        source=ORACLE,
        direct=False,
        formula=formula,
    )
    found = _formula(feed, leaves, feed.formula)
    one = FollowedFeed(
        feed=feed,
        leaves=leaves,
        heartbeats_s={},
        second=None,
        unfit=None,
        formula=found,
        pivot=_pivot(found, leaves),
    )
    return Following(
        feeds={ORACLE: one},
        by_aggregator={leaf.aggregator: (ORACLE,) for leaf in leaves},
        leaves={leaf.proxy: leaf for leaf in leaves},
    )


def evidence(answers: dict[Address, int]) -> Evidence:
    rounds = {
        proxy: Round(answer=answer, started_at=1, updated_at=1, phase=1)
        for proxy, answer in answers.items()
    }
    return Evidence(rounds=rounds)


def at(price: int, number: int = HEAD) -> PriceBook:
    prices = {ORACLE: Price(value=price, block=number, updated_at=1)}
    return PriceBook(block=block(number), prices=prices, problems={}, evidence=evidence(NOW))


def telling(found: Following | None = None, price: int = 3_000 * 10**24) -> Telling:
    made = Telling(found or following())
    made.read(at(price))
    return made


def event(aggregator: Address, answer: int, *, removed: bool = False) -> LogHint:
    topics = (ANSWER_UPDATED, f"0x{answer % 2**256:064x}", f"0x{9:064x}")
    found: Any = SimpleNamespace(address=aggregator, topics=topics, removed=removed)
    hint: LogHint = found
    return hint


def test_either_feeds_event_tells_the_price() -> None:
    made = telling()
    assert made.tells(ORACLE)
    half, double = event(EVENTS_OF_ETHER, 1_500 * 10**8), event(EVENTS_OF_DOLLAR, 2 * 10**8)
    assert made.told(half) == ([(ORACLE, 1_500 * 10**24)], {ORACLE})
    assert made.told(double) == ([(ORACLE, 1_500 * 10**24)], {ORACLE})


def test_nothing_is_told_before_anything_was_read() -> None:
    made = Telling(following())
    assert not made.tells(ORACLE)
    assert made.told(event(EVENTS_OF_ETHER, 10**8)) == ([], {ORACLE})


def test_a_contract_that_answers_otherwise_than_its_formula_is_read() -> None:
    made = telling(price=3_000 * 10**24 + 1)
    assert not made.tells(ORACLE)
    assert made.told(event(EVENTS_OF_ETHER, 10**8)) == ([], {ORACLE})
    made.read(at(3_000 * 10**24))
    assert made.tells(ORACLE)


@pytest.mark.parametrize("answer", [-1, 0, 10, 10**14])
def test_an_answer_that_guards_refuse_is_not_told(answer: int) -> None:
    assert telling().told(event(EVENTS_OF_ETHER, answer)) == ([], {ORACLE})


def test_events_of_one_block_are_taken_together() -> None:
    made = telling()
    made.heard(event(EVENTS_OF_DOLLAR, 2 * 10**8), HEAD + 1)
    assert made.told(event(EVENTS_OF_ETHER, 6_000 * 10**8))[0] == [(ORACLE, 3_000 * 10**24)]
    made.read(at(3_000 * 10**24, HEAD + 1))
    assert made.told(event(EVENTS_OF_ETHER, 6_000 * 10**8))[0] == [(ORACLE, 6_000 * 10**24)]


def test_an_event_of_the_past_or_taken_back_changes_nothing() -> None:
    made = telling()
    made.heard(event(EVENTS_OF_DOLLAR, 2 * 10**8), HEAD)
    made.heard(event(EVENTS_OF_DOLLAR, 2 * 10**8, removed=True), HEAD + 1)
    assert made.told(event(EVENTS_OF_ETHER, 10**8))[0] == [(ORACLE, 10**24)]


def test_an_event_heard_while_the_block_before_it_is_read_is_not_forgotten() -> None:
    made = telling()
    made.heard(event(EVENTS_OF_DOLLAR, 2 * 10**8), HEAD + 2)
    made.read(at(3_000 * 10**24, HEAD + 1))
    assert made.tells(ORACLE)
    assert made.told(event(EVENTS_OF_ETHER, 6_000 * 10**8))[0] == [(ORACLE, 3_000 * 10**24)]
    made.read(at(3_000 * 10**24, HEAD + 2))
    assert made.told(event(EVENTS_OF_ETHER, 6_000 * 10**8))[0] == [(ORACLE, 6_000 * 10**24)]


def test_what_a_retired_aggregator_said_is_no_part_of_a_price() -> None:
    """It answers after the switch, and before the head is read that the switch was in."""
    new = address("0x" + "66" * 20)
    made = telling()
    made.heard(event(EVENTS_OF_ETHER, 1_500 * 10**8), HEAD + 2)
    made.heard(event(EVENTS_OF_DOLLAR, 2 * 10**8), HEAD + 2)
    made = made.now_of(following(leaves=(replace(LEAVES[0], aggregator=new), LEAVES[1])))
    made.read(at(3_000 * 10**24, HEAD + 1))
    assert made.told(event(EVENTS_OF_DOLLAR, 10**8))[0] == [(ORACLE, 3_000 * 10**24)]
    assert made.told(event(new, 6_000 * 10**8))[0] == [(ORACLE, 3_000 * 10**24)], "of two dollars"
    assert made.told(event(EVENTS_OF_ETHER, 10**8)) == ([], frozenset())


@pytest.mark.parametrize("answer", [-1, 0, 10, 10**14])
def test_no_other_feed_tells_what_it_makes_of_an_answer_that_guards_refuse(answer: int) -> None:
    made = telling()
    made.heard(event(EVENTS_OF_ETHER, answer), HEAD + 1)
    assert made.told(event(EVENTS_OF_DOLLAR, 2 * 10**8)) == ([], {ORACLE})
    made.heard(event(EVENTS_OF_ETHER, 1_500 * 10**8), HEAD + 1)
    assert made.told(event(EVENTS_OF_DOLLAR, 10**8)) == ([(ORACLE, 1_500 * 10**24)], {ORACLE})


def test_nor_is_it_where_other_feeds_are_followed_meanwhile() -> None:
    nobody: Any = None
    watcher = PriceWatcher(nobody)
    watcher._take(following())
    watcher.telling.read(at(3_000 * 10**24))
    watcher.telling.heard(event(EVENTS_OF_DOLLAR, 2 * 10**8), HEAD + 2)
    watcher._take(following())
    assert not watcher.telling.tells(ORACLE)
    watcher.telling.read(at(3_000 * 10**24, HEAD + 1))
    told = watcher.telling.told(event(EVENTS_OF_ETHER, 6_000 * 10**8))[0]
    assert told == [(ORACLE, 3_000 * 10**24)]


def test_nor_is_it_where_what_it_makes_is_found_out_meanwhile() -> None:
    nobody: Any = None
    watcher, found = PriceWatcher(nobody), following()
    silent = replace(found.feeds[ORACLE], formula=None, pivot=None)
    watcher._take(replace(found, feeds={ORACLE: silent}))
    watcher.telling.read(at(3_000 * 10**24))
    watcher.telling.heard(event(EVENTS_OF_DOLLAR, 2 * 10**8), HEAD + 1)
    watcher.learn({ORACLE: FORMULA}, at(3_000 * 10**24))
    told = watcher.telling.told(event(EVENTS_OF_ETHER, 6_000 * 10**8))[0]
    assert told == [(ORACLE, 3_000 * 10**24)]
    watcher.telling.read(at(3_000 * 10**24, HEAD + 1))
    told = watcher.telling.told(event(EVENTS_OF_ETHER, 6_000 * 10**8))[0]
    assert told == [(ORACLE, 6_000 * 10**24)]


def test_an_event_that_a_reorg_took_back_leaves_what_was_read() -> None:
    made = telling()
    for removed in (False, True):
        made.heard(event(EVENTS_OF_DOLLAR, 2 * 10**8, removed=removed), HEAD + 1)
    assert made.told(event(EVENTS_OF_ETHER, 10**8))[0] == [(ORACLE, 10**24)]


@pytest.mark.parametrize(
    "found",
    [
        following(leaves=(LEAVES[0], replace(LEAVES[1], is_late=True))),
        following(leaves=(LEAVES[0], replace(LEAVES[1], aggregator=EVENTS_OF_ETHER))),
        following(leaves=LEAVES[:1]),
        following(formula=Formula(scale=10**24, over=(ETHER, ETHER), under=(DOLLAR,))),
        following(formula=Formula(scale=10**24, over=())),
    ],
    ids=["a late feed", "one aggregator for both", "a feed without rounds", "one twice", "of none"],
)
def test_what_does_not_follow_from_single_events_is_read(found: Following) -> None:
    assert not telling(found).tells(ORACLE)


def test_what_would_bring_a_price_is_an_answer_of_the_first_that_emits() -> None:
    one = following().feeds[ORACLE]
    found = one.answering(evidence(NOW), 1_500 * 10**24 + 5, falls=True)
    assert found is not None
    assert (found.leaf, found.answer, found.price) == (LEAVES[0], 1_500 * 10**8, 1_500 * 10**24)
    silent = replace(LEAVES[0], aggregator=ETHER)
    other = following(leaves=(silent, LEAVES[1])).feeds[ORACLE]
    found = other.answering(evidence(NOW), 1_500 * 10**24, falls=True)
    assert found is not None
    assert (found.leaf, found.answer) == (LEAVES[1], 2 * 10**8)
    assert one.answering(evidence({ETHER: 1}), 10**24, falls=True) is None


@pytest.mark.parametrize("stale", [ETHER, DOLLAR])
def test_none_is_admitted_that_another_feed_may_move_while_one_is_too_old(stale: Address) -> None:
    nobody: Any = None
    watcher, found, book = PriceWatcher(nobody), following(), at(3_000 * 10**24)
    after = replace(block(HEAD + 1), timestamp=book.block.timestamp + 12)
    for age_s, is_admitted in ((after.timestamp - 1, True), (after.timestamp - 2, False)):
        one = replace(found.feeds[ORACLE], heartbeats_s={stale: age_s})
        watcher._take(replace(found, feeds={ORACLE: one}))
        assert watcher.admits(book, ORACLE, 1_500 * 10**24, after, falls=True) is is_admitted

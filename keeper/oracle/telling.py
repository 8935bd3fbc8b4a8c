"""What events of feeds tell of the prices that are reckoned from them, before anything is read.

A price that is what one feed answers follows from its event. One that a contract reckons from
several follows where its formula is known, and where that gave, at the newest block that was read,
what the contract itself answered: a contract that reckons otherwise, or not any more, is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from keeper.core.chain import LogHint
from keeper.core.units import Address
from keeper.oracle.book import Evidence, PriceBook
from keeper.oracle.chainlink import glimpse_answer
from keeper.oracle.feeds import NOTHING, FollowedFeed, Following
from keeper.oracle.formula import Answers, Slope, reckoned, slope_of
from keeper.oracle.pending import Update
from keeper.oracle.sources import Leaf

Said = Sequence[tuple[str, int]]
"""Feed ids with the prices that an event sets."""


class _Composite(NamedTuple):
    """A price that an aggregator is a part of."""

    feed: str
    slope: Slope
    leaf: Leaf
    """Whose answer it is the price by."""

    def told(self, answer: int) -> tuple[str, int]:
        """Return the feed's id and its price at an answer."""
        return self.feed, self.slope.at(answer)


class _Mover(NamedTuple):
    """What an aggregator's events mean for the feeds."""

    direct: tuple[tuple[str, int], ...]
    """Ids of the feeds that it is the answer of, with what an answer is multiplied by."""
    composite: tuple[_Composite, ...]
    touched: frozenset[str]
    """Ids of all feeds that it may move."""


class Telling:
    """Knows which prices events tell, as of the newest block that was read. One writer."""

    def __init__(self, following: Following = NOTHING) -> None:
        """Tell of the prices that are the answer of one feed, until something was read."""
        self._following = following
        self._holding: frozenset[str] = frozenset()
        self._read: dict[Address, int] = {}
        """What the feeds answered at the block that was read, by proxy."""
        self._answers: dict[Address, int] = {}
        """The same after the events since."""
        self._since: dict[Address, tuple[int, int]] = {}
        """The block and the answer of the last event since, by proxy."""
        self._block = -1
        self._movers: dict[str, _Mover] = {}
        self._composites = [
            key
            for key, one in following.feeds.items()
            if one.formula is not None and not one.is_the_answer
        ]

    def now_of(self, following: Following) -> "Telling":
        """Return what tells of other feeds, with what was heard of blocks not yet read.

        Not from an aggregator that a proxy answers from no more: it may tell on.
        """
        made, before = Telling(following), self._following.leaves
        followed = {(proxy, leaf.aggregator) for proxy, leaf in following.leaves.items()}
        made._since = {
            proxy: said
            for proxy, said in self._since.items()
            if (proxy, before[proxy].aggregator) in followed
        }
        return made

    def read(self, book: PriceBook) -> None:
        """Take all prices as they were read at a block, and what their feeds answered there."""
        self._block = book.block.number
        # Events of later blocks may have been heard of while this one was read.
        self._since = {key: one for key, one in self._since.items() if one[0] > self._block}
        if not self._composites:
            return
        self._read = answers_of(book.evidence)
        feeds, prices = self._following.feeds, book.prices
        self._holding = frozenset(
            key
            for key in self._composites
            if key in prices and _reckoned(feeds[key], self._read) == prices[key].value
        )
        self._answers = self._read | {key: answer for key, (_, answer) in self._since.items()}
        self._movers = {}
        for aggregator in self._following.by_aggregator:
            self._mover(aggregator)

    def tells(self, key: str) -> bool:
        """Return whether events of a feed's parts tell its price."""
        one = self._following.feeds.get(key)
        is_answer = one is not None and one.formula is not None and one.is_the_answer
        return is_answer or key in self._holding

    def prices(
        self, feeds: Iterable[FollowedFeed], evidence: Evidence, said: Mapping[Address, int]
    ) -> dict[str, int | None]:
        """Return the price of each of some feeds that are told, None of one that is not known.

        ``said`` is what their aggregators have answered since the ``evidence``.
        """
        return {one.feed.id: _price(one, evidence, said) for one in feeds}

    def foretold(self, feeds: Iterable[FollowedFeed], update: Update) -> dict[str, int]:
        """Return the prices that a pending update makes, of those of some feeds that it tells."""
        found: dict[str, int] = {}
        for one in feeds:
            told = (leaf.proxy for leaf in one.leaves if leaf.aggregator == update.aggregator)
            value: int | None = update.answer * one.feed.multiplier
            if not one.is_the_answer:
                answers = {**self._answers, **dict.fromkeys(told, update.answer)}
                value = _reckoned(one, answers) if self.tells(one.feed.id) else None
            if value is not None:
                found[one.feed.id] = value
        return found

    def told(self, hint: LogHint) -> tuple[Said, frozenset[str]]:
        """Return the prices that an event sets by itself, and every feed that it may have moved."""
        answer = None if hint.removed else glimpse_answer(hint.topics)
        if answer is None:
            return (), frozenset()
        known = self._movers.get(hint.address) or self._mover(hint.address)
        said = [(key, answer * multiplier) for key, multiplier in known.direct]
        if known.composite:
            said += [one.told(answer) for one in known.composite if _is_price(one.leaf, answer)]
        return said, known.touched

    def heard(self, hint: LogHint, block: int) -> None:
        """Take an event for what others make of composite prices until its block is read.

        One of a block that was read is of the past. Where no price is composite, one may be found
        to be before the block is read.
        """
        answer = glimpse_answer(hint.topics)
        if answer is None or block <= self._block:
            return
        aggregator = Address(hint.address.lower())
        for leaf in self._following.leaves.values():
            if leaf.aggregator == aggregator:
                self._hear(leaf, block, None if hint.removed else answer)
        if self._composites:
            self._movers = {}

    def _hear(self, leaf: Leaf, block: int, answer: int | None) -> None:
        """Take a feed's answer of a block; None where a reorg took that back."""
        proxy = leaf.proxy
        if answer is not None:
            # Nor may what others make of one be acted on that guards refuse: zero is no price.
            told = answer if _is_price(leaf, answer) else 0
            self._since[proxy], self._answers[proxy] = (block, told), told
        elif self._since.pop(proxy, None) is not None:
            self._answers[proxy] = self._read.get(proxy, 0)

    def _mover(self, name: str) -> _Mover:
        """Return what an aggregator's events mean, looked up once for each way of writing it."""
        aggregator, feeds = Address(name.lower()), self._following.feeds
        touched = [feeds[key] for key in self._following.by_aggregator.get(aggregator, ())]
        told = [one for one in touched if self.tells(one.feed.id)]
        found = (
            _composite(one, aggregator, self._answers) for one in told if not one.is_the_answer
        )
        known = self._movers[name] = _Mover(
            direct=tuple((o.feed.id, o.feed.multiplier) for o in told if o.is_the_answer),
            composite=tuple(one for one in found if one is not None),
            touched=frozenset(one.feed.id for one in touched),
        )
        return known


def answers_of(evidence: Evidence) -> dict[Address, int]:
    """Return what each feed answered, by its proxy."""
    rounds = evidence.rounds.items()
    return {proxy: latest.answer for proxy, latest in rounds if latest is not None}


def _price(one: FollowedFeed, evidence: Evidence, said: Mapping[Address, int]) -> int | None:
    """Return a feed's price after events; of a lone answer whatever it is, for the guards."""
    if not one.is_the_answer:
        return _reckoned(one, one.answers(evidence, said))
    answer = said.get(one.leaves[0].aggregator)
    return None if answer is None else answer * one.feed.multiplier


def _reckoned(one: FollowedFeed, answers: Answers) -> int | None:
    """Return a composite price by its formula."""
    return None if one.formula is None else reckoned(one.formula, answers)


def _composite(one: FollowedFeed, aggregator: Address, answers: Answers) -> _Composite | None:
    if one.formula is None:
        return None
    named = {*one.formula.over, *one.formula.under}
    parts = (leaf for leaf in one.leaves if leaf.aggregator == aggregator and leaf.proxy in named)
    if (leaf := next(parts, None)) is None:
        return None
    slope = slope_of(one.formula, leaf.proxy, answers)
    return slope and _Composite(one.feed.id, slope, leaf)


def _is_price(leaf: Leaf, answer: int) -> bool:
    """Return whether an answer may be acted on: guards refuse one at its aggregator's bounds."""
    return max(leaf.low or 0, 0) < answer and (leaf.high is None or answer < leaf.high)

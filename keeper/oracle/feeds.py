"""The feeds that a watcher follows: each with what it is made of and what may go wrong with it."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.lending import Feed, Formula, Price
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.oracle.book import Evidence
from keeper.oracle.chainlink import Round
from keeper.oracle.formula import slope_of
from keeper.oracle.guards import age_problem, bound_problem, deviation_problem
from keeper.oracle.pending import Kind, Update
from keeper.oracle.policy import OraclePolicy
from keeper.oracle.second_source import Prepared, prepare
from keeper.oracle.sources import Leaf, resolve

MOST_LEAVES = 16
"""Of one price. Whoever makes an oracle may name hundreds, each to be read and listened to."""
LATE = "Chainlink SVR: auctioned to others first, seen late by design"


class FollowedFeed(Struct, frozen=True, kw_only=True):
    """One price of the protocol."""

    feed: Feed
    leaves: tuple[Leaf, ...]
    """The feeds with rounds that it is made of; none when it is fixed or a bare ratio."""
    heartbeats_s: Mapping[Address, int]
    """By the proxy of a leaf."""
    second: Prepared | None
    unfit: str | None
    """Why it cannot be judged: its second source cannot be asked, or it is of too many feeds."""
    formula: Formula | None = None
    """How events of its leaves tell the price; None where they do not."""
    pivot: Leaf | None = None
    """Of the leaves that the formula is of, the first that emits."""

    @property
    def is_the_answer(self) -> bool:
        """Return whether the price is what one aggregator answers, and nothing else."""
        return _is_the_answer(self.feed, self.leaves)

    def answers(self, evidence: Evidence, said: Mapping[Address, int]) -> dict[Address, int]:
        """Return what its leaves answer, by proxy, after aggregators have ``said`` something."""
        rounds = ((leaf, evidence.rounds.get(leaf.proxy)) for leaf in self.leaves)
        known = {leaf.proxy: latest.answer for leaf, latest in rounds if latest is not None}
        told = (leaf for leaf in self.leaves if leaf.aggregator in said)
        return known | {leaf.proxy: said[leaf.aggregator] for leaf in told}

    def answering(self, evidence: Evidence, price: int, *, falls: bool) -> "Answering | None":
        """Return what would make it fall, or rise, to a price; None when that is not known."""
        if self.formula is None or self.pivot is None:
            return None
        latest = evidence.rounds.get(self.pivot.proxy)
        slope = slope_of(self.formula, self.pivot.proxy, self.answers(evidence, {}))
        if latest is None or slope is None:
            return None
        answer = slope.reaching(price, falls=falls)
        reached = slope.at(answer) if answer > 0 else 0
        return Answering(leaf=self.pivot, latest=latest, answer=answer, price=reached)

    def is_replaced(self, evidence: Evidence) -> bool:
        """Return whether a part answers from another aggregator than the one that is followed."""
        rounds = ((leaf.phase, evidence.rounds.get(leaf.proxy)) for leaf in self.leaves)
        return any(latest is not None and latest.phase != phase for phase, latest in rounds)

    def heeds(self, update: Update) -> bool:
        """Return whether a pending update would move the price in the block that includes it."""
        leaves = [leaf for leaf in self.leaves if leaf.aggregator == update.aggregator]
        if update.kind is Kind.SUBMISSION:
            return any(leaf.lone_submitter for leaf in leaves)
        return any(leaf.is_late is (update.kind is Kind.SECOND_REPORT) for leaf in leaves)

    @property
    def remark(self) -> str | None:
        """Return what an operator should know of the feed although it is sound."""
        return LATE if any(leaf.is_late for leaf in self.leaves) else None

    def problems(self, price: Price, evidence: Evidence, now: int) -> list[str]:
        """Return every reason not to act on the price at block time ``now``, leaps excepted."""
        label = self.feed.label
        found = [*self._of_leaves(evidence, now)]
        if self.unfit is not None:
            found.append(f"{label}: {self.unfit}")
        if self.second is not None:
            found.append(self._of_second(self.second, price.value, evidence))
        return list(dict.fromkeys(one for one in found if one is not None))

    def _of_leaves(self, evidence: Evidence, now: int) -> Iterable[str | None]:
        for leaf in self.leaves:
            latest = evidence.rounds.get(leaf.proxy)
            name = self.feed.label
            if leaf.proxy != self.feed.source:
                name = f"{name} (by {leaf.proxy})"
            if latest is None:
                yield f"{name}: expected a round, found none"
                continue
            yield bound_problem(name, latest.answer, low=leaf.low, high=leaf.high)
            if leaf.proxy in self.heartbeats_s:
                yield age_problem(name, latest.updated_at, self.heartbeats_s[leaf.proxy], now)

    def _of_second(self, second: Prepared, value: int, evidence: Evidence) -> str | None:
        other = evidence.seconds.get(self.feed.id)
        if other is None:
            return f"{self.feed.label}: expected a second price from {second.where}, found none"
        most = second.opinion.most_bps
        return deviation_problem(self.feed.label, value, other, where=second.where, most_bps=most)


class Answering(NamedTuple):
    """The answer of one leaf at which a price would be another."""

    leaf: Leaf
    latest: Round
    """What it answers now."""
    answer: int
    price: int
    """What that makes: an answer is not so fine that each price has one."""


class Following(Struct, frozen=True, kw_only=True):
    """Every feed of a deployment."""

    feeds: Mapping[str, FollowedFeed]
    """By feed id."""
    by_aggregator: Mapping[Address, tuple[str, ...]]
    """Feeds that an aggregator's event may move."""
    leaves: Mapping[Address, Leaf]
    """By proxy."""

    @property
    def doubtful(self) -> frozenset[Address]:
        """Return the proxies that nobody vouches for: a price that may burn so much names them."""
        capped = (one for one in self.feeds.values() if one.feed.read.gas is not None)
        return frozenset(leaf.proxy for one in capped for leaf in one.leaves)

    def quotes(self, values: Mapping[str, int | None]) -> dict[str, int]:
        """Return what was read by the feeds' labels, of several of one label the oldest's.

        Anybody may add a market whose feed has the label of another's.
        """
        named: dict[str, str] = {}
        for key, one in self.feeds.items():
            named.setdefault(one.feed.label, key)
        return {label: value for label, key in named.items() if (value := values[key]) is not None}

    def replaced(self, evidence: Evidence) -> frozenset[str]:
        """Return the feeds of which a part answers from another aggregator than is followed."""
        return frozenset(key for key, one in self.feeds.items() if one.is_replaced(evidence))


NOTHING = Following(feeds={}, by_aggregator={}, leaves={})


async def follow(
    reader: Reader,
    block: BlockRef,
    feeds: Sequence[Feed],
    policy: OraclePolicy,
    *,
    held: Mapping[str, FollowedFeed] = MappingProxyType({}),
) -> Following:
    """Find what each feed is made of, and prepare its second source.

    Of those that are ``held`` that is known: anybody may add a feed in each block.
    """
    kept = {one.id: held[one.id] for one in feeds if one.id in held and held[one.id].feed == one}
    found = await _found(reader, block, [one for one in feeds if one.id not in kept], policy)
    known = {**kept, **found}
    return following_of({one.id: known[one.id] for one in feeds})


async def _found(
    reader: Reader, block: BlockRef, feeds: Sequence[Feed], policy: OraclePolicy
) -> dict[str, FollowedFeed]:
    if not feeds:
        return {}
    roots = {feed.id: (feed.source, *feed.underlying) for feed in feeds}
    below = await resolve(reader, block, {one for each in roots.values() for one in each})
    opinions = {feed.id: opinion for feed in feeds if (opinion := policy.opinion(feed))}
    seconds, unfit = await prepare(reader, block, opinions)
    followed = {}
    for feed in feeds:
        leaves = tuple(dict.fromkeys(leaf for root in roots[feed.id] for leaf in below[root]))
        if len(leaves) > MOST_LEAVES:
            expected = f"expected at most {MOST_LEAVES} feeds that it is made of"
            unfit = {**unfit, feed.id: f"{expected}, found {len(leaves)}"}
            leaves = ()
        formula = _formula(feed, leaves, feed.formula)
        followed[feed.id] = FollowedFeed(
            feed=feed,
            leaves=leaves,
            formula=formula,
            pivot=_pivot(formula, leaves),
            heartbeats_s=_heartbeats(feed, leaves, policy),
            second=seconds.get(feed.id),
            unfit=unfit.get(feed.id),
        )
    return followed


def following_of(feeds: Mapping[str, FollowedFeed]) -> Following:
    """Return the feeds with what their aggregators' events may move."""
    by_aggregator: dict[Address, tuple[str, ...]] = {}
    for key, one in feeds.items():
        for aggregator in dict.fromkeys(leaf.aggregator for leaf in one.leaves):
            by_aggregator[aggregator] = (*by_aggregator.get(aggregator, ()), key)
    leaves = {leaf.proxy: leaf for one in feeds.values() for leaf in one.leaves}
    return Following(feeds=feeds, by_aggregator=by_aggregator, leaves=leaves)


def followed_by(feed: Feed) -> tuple[object, ...]:
    """Return how a feed is followed and read; of several markets' names for it it may have any."""
    return feed.id, feed.source, feed.underlying, feed.read, feed.direct, feed.multiplier


def reckoned_by(one: FollowedFeed, formula: Formula) -> FollowedFeed:
    """Return a feed whose price is said to follow from its leaves by a formula."""
    found = _formula(one.feed, one.leaves, formula)
    return replace(one, formula=found, pivot=_pivot(found, one.leaves))


def _formula(feed: Feed, leaves: Sequence[Leaf], said: Formula | None) -> Formula | None:
    """Return how a price follows from the events of its leaves, None where it does not.

    Nor where one is late, or two come of one aggregator.
    """
    if _is_the_answer(feed, leaves):
        found = Formula(scale=feed.multiplier, over=(leaves[0].proxy,))
    elif said is not None:
        found = said
    else:
        return None
    known = {leaf.proxy: leaf for leaf in leaves}
    parts = [known.get(proxy) for proxy in (*found.over, *found.under)]
    told = {part.aggregator for part in parts if part is not None and not part.is_late}
    return found if parts and len(told) == len(parts) else None


def _is_the_answer(feed: Feed, leaves: Sequence[Leaf]) -> bool:
    """Return whether a price is what its source answers, and that is no adapter of other feeds."""
    return feed.direct and [leaf.proxy for leaf in leaves] == [feed.source]


def _pivot(formula: Formula | None, leaves: Sequence[Leaf]) -> Leaf | None:
    if formula is None:
        return None
    known = {leaf.proxy: leaf for leaf in leaves}
    parts = [known[proxy] for proxy in (*formula.over, *formula.under)]
    return next((part for part in parts if part.aggregator != part.proxy), parts[0])


def _heartbeats(feed: Feed, leaves: Iterable[Leaf], policy: OraclePolicy) -> dict[Address, int]:
    found = {leaf.proxy: policy.heartbeat(feed, leaf.proxy) for leaf in leaves}
    return {proxy: seconds for proxy, seconds in found.items() if seconds is not None}

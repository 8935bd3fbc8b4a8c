"""The feeds that a watcher follows: each with what it is made of and what may go wrong with it."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.lending import Feed, Price
from keeper.core.ports import Prices, Reader
from keeper.core.units import Address
from keeper.oracle.book import Evidence
from keeper.oracle.guards import age_problem, bound_problem, deviation_problem
from keeper.oracle.pending import Kind, Update
from keeper.oracle.policy import OraclePolicy
from keeper.oracle.second_source import Prepared, prepare
from keeper.oracle.sources import Leaf, resolve

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
    """Why its second source cannot be asked at all."""

    @property
    def is_the_answer(self) -> bool:
        """Return whether the price is what one aggregator answers, and nothing else."""
        return self.feed.direct and len(self.leaves) == 1

    @property
    def moves_by_event(self) -> bool:
        """Return whether an aggregator's event tells the price: it is the answer, and not late."""
        return self.is_the_answer and not self.leaves[0].is_late

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


class Following(Struct, frozen=True, kw_only=True):
    """Every feed of a deployment."""

    feeds: Mapping[str, FollowedFeed]
    """By feed id."""
    by_aggregator: Mapping[Address, tuple[str, ...]]
    """Feeds that an aggregator's event may move."""
    leaves: Mapping[Address, Leaf]
    """By proxy."""

    def quotes(self, prices: Prices) -> dict[str, int]:
        """Return prices by the feeds' labels."""
        return {
            one.feed.label: prices[key].value for key, one in self.feeds.items() if key in prices
        }


NOTHING = Following(feeds={}, by_aggregator={}, leaves={})


async def follow(
    reader: Reader, block: BlockRef, feeds: Sequence[Feed], policy: OraclePolicy
) -> Following:
    """Find what each feed is made of, and prepare its second source."""
    roots = {feed.id: (feed.source, *feed.underlying) for feed in feeds}
    below = await resolve(reader, block, {one for each in roots.values() for one in each})
    opinions = {feed.id: opinion for feed in feeds if (opinion := policy.opinion(feed))}
    seconds, unfit = await prepare(reader, block, opinions)
    followed = {}
    for feed in feeds:
        leaves = tuple(dict.fromkeys(leaf for root in roots[feed.id] for leaf in below[root]))
        followed[feed.id] = FollowedFeed(
            feed=feed,
            leaves=leaves,
            heartbeats_s=_heartbeats(feed, leaves, policy),
            second=seconds.get(feed.id),
            unfit=unfit.get(feed.id),
        )
    by_aggregator: dict[Address, tuple[str, ...]] = {}
    for key, one in followed.items():
        for aggregator in dict.fromkeys(leaf.aggregator for leaf in one.leaves):
            by_aggregator[aggregator] = (*by_aggregator.get(aggregator, ()), key)
    leaves_of_all = {leaf.proxy: leaf for one in followed.values() for leaf in one.leaves}
    return Following(feeds=followed, by_aggregator=by_aggregator, leaves=leaves_of_all)


def _heartbeats(feed: Feed, leaves: Iterable[Leaf], policy: OraclePolicy) -> dict[Address, int]:
    found = {leaf.proxy: policy.heartbeat(feed, leaf.proxy) for leaf in leaves}
    return {proxy: seconds for proxy, seconds in found.items() if seconds is not None}

"""Enter what was read of the feeds in a book, judged by the guards."""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.lending import Price
from keeper.core.ports import Prices
from keeper.core.values import replace
from keeper.oracle.book import Evidence, PriceBook
from keeper.oracle.chainlink import Round
from keeper.oracle.feeds import FollowedFeed, Following
from keeper.oracle.guards import Hold, SpikeRule, spike_after, spike_problem, value_problem
from keeper.oracle.policy import OraclePolicy

V = TypeVar("V")

Values = Mapping[str, int | None]
"""What was read of each feed, by its id; None where the read reverted."""


class Judge(Struct, frozen=True, kw_only=True):
    """Judges prices of the feeds that are followed."""

    following: Following
    policy: OraclePolicy

    @property
    def remarks(self) -> Mapping[str, str]:
        """Return what an operator should know of feeds that are sound, by feed id."""
        feeds = self.following.feeds
        return {key: remark for key, one in feeds.items() if (remark := one.remark)}

    def updated(
        self, book: PriceBook, values: Values, evidence: Evidence, block: BlockRef
    ) -> PriceBook:
        """Return the book with some feeds read anew, and those alone judged again."""
        after = self.written(book, values, evidence, block, book)
        earlier = book.moved if book.block == block else ""
        return replace(after, moved=", ".join(filter(None, (earlier, after.moved))))

    def written(
        self,
        book: PriceBook,
        values: Values,
        evidence: Evidence,
        block: BlockRef,
        before: PriceBook,
    ) -> PriceBook:
        """Return ``book`` with what was read entered; ``before`` tells what moved and leapt."""
        prices = _without(book.prices, values)
        problems = _without(book.problems, values)
        holds = _without(book.holds, values) | _over_gaps(values, before, block)
        for key, value in values.items():
            one = self.following.feeds[key]
            if value is None:
                problems[key] = f"{one.feed.label}: expected a price, found a revert"
                continue
            if (problem := value_problem(one.feed.label, value)) is not None:
                problems[key] = problem
                continue
            prices[key] = Price(
                value=value, block=block.number, updated_at=_updated_at(one, evidence, block)
            )
            found = one.problems(prices[key], evidence, block.timestamp)
            rule = self.policy.spike_rule(one.feed)
            if rule and (hold := _hold(rule, before, key, value, block)):
                holds[key] = hold
                found.append(spike_problem(one.feed.label, rule, value, hold))
            if evidence.chain is not None:
                found.append(evidence.chain)
            if found:
                problems[key] = "; ".join(found)
        return PriceBook(
            block=block,
            prices=prices,
            problems=problems,
            moved=self._moved(before.prices, prices, values),
            remarks=self.remarks,
            holds=holds,
            evidence=evidence,
        )

    def _moved(self, before: Prices, after: Prices, keys: Collection[str]) -> str:
        """Say which prices moved and by how much, and which were lost or found again."""
        words = []
        for key in keys if before else ():
            old, new = before.get(key), after.get(key)
            label = self.following.feeds[key].feed.label
            if old is None or new is None:
                if old is not new:
                    words.append(f"{label} {'lost' if new is None else 'found'}")
            elif old.value != new.value:
                percent = (new.value - old.value) * 10_000 // old.value
                words.append(f"{label} {percent / 100:+.2f} %")
        return ", ".join(words)


def _hold(rule: SpikeRule, before: PriceBook, key: str, value: int, block: BlockRef) -> Hold | None:
    """Return the hold on a feed's price, given the book before."""
    earlier = before.prices.get(key)
    was = earlier.value if earlier else None
    return spike_after(rule, value, was, before.holds.get(key), block.number)


def _over_gaps(values: Values, before: PriceBook, block: BlockRef) -> dict[str, Hold]:
    """Return from where the prices that are lost at ``block`` would leap once they are found.

    Else a leap would be none where the feed could not be read on the way.
    """
    holds = {}
    for key, value in values.items():
        hold, was = before.holds.get(key), before.prices.get(key)
        reference = hold.reference if hold else was.value if was else None
        if reference is not None and (value is None or value <= 0):
            holds[key] = Hold(reference=reference, since=block.number)
    return holds


def _updated_at(one: FollowedFeed, evidence: Evidence, block: BlockRef) -> int:
    """Return when the oldest part of a price was updated; a price without rounds is the block's."""
    latest: Iterable[Round | None] = (evidence.rounds.get(leaf.proxy) for leaf in one.leaves)
    return min((found.updated_at for found in latest if found), default=block.timestamp)


def _without(entries: Mapping[str, V], keys: Collection[str]) -> dict[str, V]:
    return {key: value for key, value in entries.items() if key not in keys}

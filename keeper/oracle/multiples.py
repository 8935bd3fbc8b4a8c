"""How adapters reckon their prices from what their feeds answer: found out by asking them.

An adapter (a ratio with a cap on it, two feeds multiplied, a dollar with a cap) says what its feeds
are, not what it does with them. So it is asked, in a simulation, what it would answer if each of
them answered a round number far above any price: that says the multiple to its last digit, or the
cap. It is asked as of the next day: what grows by the second is no multiple of today's. Whether the
price is the multiple, or its feed's answer below the cap, is judged at each head as any formula is
(``telling``). Where neither holds, as the ratio is another by now, the adapter is read, and asked
again later.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from keeper.core.chain import StateOverride
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.lending import Formula
from keeper.core.ports import Simulator
from keeper.core.units import Address
from keeper.oracle.asking_ahead import asked
from keeper.oracle.book import PriceBook
from keeper.oracle.feeds import FollowedFeed
from keeper.oracle.formula import reckoned
from keeper.oracle.sources import Leaf
from keeper.oracle.stand_in import StandIns
from keeper.oracle.watcher import PriceWatcher
from keeper.runtime.begun import begun

_ROUND: Final = 10**27
"""More digits than a ratio has; two of them, times any scale, are still an ``int256``."""
_MOST_FEEDS: Final = 2
_LATER_S: Final = 86_400
_AGAIN_AFTER: Final = 64
"""Blocks: so seldom one that grows is asked; a ratio that is set once a day is, at once.

Where no node answers it is tried again after one, then two, then four, up to so many."""


class Multiples:
    """Finds out about the adapters of one deployment, beside what else happens at a head."""

    def __init__(self, watcher: PriceWatcher, simulator: Simulator, stand_ins: StandIns) -> None:
        """Know nothing yet."""
        self._watcher = watcher
        self._simulator = simulator
        self._stand_ins = stand_ins
        self._asked: dict[str, tuple[tuple[Leaf, ...], int]] = {}
        """What an adapter was made of when it was asked last, and from which block on it may be
        asked again."""
        self._patience = 1
        """Blocks until the next try where no node answers."""
        self._answer: asyncio.Task[Mapping[str, Formula]] | None = None

    def look(self, book: PriceBook) -> None:
        """Take what was answered since the last look, and begin to ask what is due.

        ``book`` is as it was read at a head.
        """
        if self._answer is not None:
            if not self._answer.done():
                return
            answer, self._answer = self._answer, None
            if found := answer.result():
                self._watcher.learn(found, book)
        due = [one for one in self._watcher.following.feeds.values() if self._is_due(one, book)]
        if due:
            self._put_off(due, book, _AGAIN_AFTER)
            self._answer = begun(self._ask(due, book))

    async def find_out(self, book: PriceBook) -> None:
        """Look, and wait until all that is to be known as of a book is known."""
        self.look(book)
        if self._answer is not None:
            await self._answer
            self.look(book)

    def _is_due(self, one: FollowedFeed, book: PriceBook) -> bool:
        """Return whether nothing tells a price that may be a multiple, and nobody asked lately.

        What anybody may have made (whose read is bounded) is not asked: it says how it reckons.
        """
        key, feed = one.feed.id, one.feed
        may_be = not one.is_the_answer and feed.formula is None and feed.read.gas is None
        if not may_be or not _move_by_events(one.leaves) or key not in book.prices:
            return False
        leaves, again = self._asked.get(key, ((), 0))
        is_new = leaves != one.leaves or book.block.number >= again
        return is_new and not self._watcher.tells(key)

    def _put_off(self, due: Sequence[FollowedFeed], book: PriceBook, blocks: int) -> None:
        again = book.block.number + blocks
        self._asked |= {one.feed.id: (one.leaves, again) for one in due}

    async def _ask(self, due: Sequence[FollowedFeed], book: PriceBook) -> Mapping[str, Formula]:
        """Return what each says of itself; nothing where no node says, to ask again soon."""
        try:
            found = await self._said(due, book)
        except (RefusedError, StaleError, TransientError):
            self._put_off(due, book, self._patience)
            self._patience = min(2 * self._patience, _AGAIN_AFTER)
            return {}
        self._patience = 1
        return found

    async def _said(self, due: Sequence[FollowedFeed], book: PriceBook) -> Mapping[str, Formula]:
        timestamp = book.block.timestamp + _LATER_S
        codes = await self._codes(due, book, timestamp)
        able = {one.feed.id: one for one in due if all(leaf.proxy in codes for leaf in one.leaves)}
        if not able:
            return {}
        feeds = [one.feed for one in able.values()]
        values = await asked(self._simulator, feeds, book.block, timestamp, codes)
        return {key: _formula(able[key], value, book) for key, value in values.items()}

    async def _codes(
        self, due: Sequence[FollowedFeed], book: PriceBook, timestamp: int
    ) -> dict[Address, StateOverride]:
        """Return the stand-ins by proxy, but of a feed without a round or decimals.

        Raises TransientError when no node answers.
        """
        codes: dict[Address, StateOverride] = {}
        proxies = list(dict.fromkeys(leaf.proxy for one in due for leaf in one.leaves))
        await self._stand_ins.make_ready(proxies, book.block)
        for proxy in proxies:
            with suppress(RefusedError, StaleError):  # of one adapter: the others are asked
                codes[proxy] = await self._stand_ins.of(proxy, book, _ROUND, timestamp)
        return codes


def _formula(one: FollowedFeed, value: int, book: PriceBook) -> Formula:
    """Return what an adapter seems to do that answered ``value`` to round numbers."""
    proxies = tuple(leaf.proxy for leaf in one.leaves)
    multiple = Formula(scale=value, over=proxies, by=_ROUND ** len(proxies))
    capped = Formula(scale=1, over=proxies, most=value)
    answers, price = one.answers(book.evidence, {}), book.prices[one.feed.id].value
    is_capped = len(proxies) == 1 and reckoned(multiple, answers) != price
    return capped if is_capped else multiple


def _move_by_events(leaves: Sequence[Leaf]) -> bool:
    """Return whether a price is of one or two feeds, which change by events alone.

    One with nothing behind it emits nothing, and may grow by the second as an adapter may; what a
    late one answers no event says.
    """
    told = all(leaf.aggregator != leaf.proxy and not leaf.is_late for leaf in leaves)
    return told and 0 < len(leaves) <= _MOST_FEEDS

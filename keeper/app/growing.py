"""Prices that grow, known at each head as the block after it will have them.

A price that a vault or a growing cap is part of is another in the next block without any event. Who
falls under the line by that alone may be liquidated in that block: at the head's prices they would
be found a block late.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from keeper.core.chain import BlockRef
from keeper.core.errors import RefusedError, StaleError, TransientError
from keeper.core.lending import Feed
from keeper.core.ports import Prices, Simulator
from keeper.core.units import BPS
from keeper.core.values import replace
from keeper.oracle.asking_ahead import asked
from keeper.oracle.book import PriceBook
from keeper.oracle.multiples import Multiples
from keeper.oracle.watcher import PriceWatcher

_MOST_BPS: Final = 10
"""By how much time alone may move a price until the next block."""
_FORGOTTEN_AFTER: Final = 64
"""Blocks after which a price that has not moved is taken to stand still."""


def moved_by_time(prices: Prices, values: Mapping[str, int]) -> Prices:
    """Return the prices that will be other than they are now.

    One that leaps is not among them: guards judged the present one alone. Whatever it would do to a
    liquidation, the rehearsal meets.
    """
    return {
        key: replace(now, value=value)
        for key, value in values.items()
        if (now := prices.get(key)) is not None
        and 0 < abs(value - now.value) * BPS <= now.value * _MOST_BPS
    }


class Growing:
    """Reads the prices of one deployment at each head, and those that grow one block ahead too."""

    def __init__(
        self,
        watcher: PriceWatcher,
        simulator: Simulator,
        multiples: Multiples,
        *,
        block_time_s: int,
    ) -> None:
        """Aim at the block so many seconds after the head."""
        self._watcher = watcher
        self._multiples = multiples
        self._simulator = simulator
        self._block_time_s = block_time_s
        self._moved: dict[str, tuple[Feed, int]] = {}
        """By feed id, with the block at which it was last seen to have moved."""

    async def read(self, head: BlockRef, before: PriceBook | None) -> tuple[PriceBook, PriceBook]:
        """Return the prices at a head, and the same as the block after it will have them.

        Both are asked for at once, of those that moved lately. Where the node does not answer for
        the second they are the first: who is found at those is aimed before it is planned.
        """
        watcher = self._watcher
        reading = watcher.first(head) if before is None else watcher.read(head, before)
        book, values = await asyncio.gather(reading, self._ahead(head))
        self._multiples.look(book)
        self._note({} if before is None else before.prices, book)
        prices = {**book.prices, **moved_by_time(book.prices, values)}
        return book, replace(book, prices=prices)

    def _note(self, before: Prices, now: PriceBook) -> None:
        """Remember which prices moved that time may have moved, not their feeds alone."""
        for key, one in self._watcher.following.feeds.items():
            was, found = before.get(key), now.prices.get(key)
            may_grow = one.feed.moves_by_time and not self._watcher.tells(key)
            if may_grow and was and found and was.value != found.value:
                self._moved[key] = (one.feed, now.block.number)

    async def _ahead(self, head: BlockRef) -> Mapping[str, int]:
        """Return what those that moved lately will be in the block after the head."""
        oldest = head.number - _FORGOTTEN_AFTER
        self._moved = {key: one for key, one in self._moved.items() if one[1] >= oldest}
        feeds = [feed for feed, _ in self._moved.values()]
        timestamp = head.timestamp + self._block_time_s
        with suppress(TransientError, StaleError, RefusedError):
            return await asked(self._simulator, feeds, head, timestamp) if feeds else {}
        return {}

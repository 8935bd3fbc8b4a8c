"""Plans signed ahead for one feed: each with the price from which on it may be sent.

Whoever crosses first when a price moves one way stands first, and the nonces follow that order: a
move always brings a prefix under the line, so that what is sent leaves no gap.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from keeper.core.lending import AccountRef
from keeper.core.plan import Plan, Submission
from keeper.core.primed import Primed
from keeper.core.units import Hash32
from keeper.core.values import replace
from keeper.executor.lanes.lane import Delivery

NEAR: Final = 1_000_000
"""Within one part in so many of its price a shot's account is asked about, exactly: nearer than
that the price was not found when it was armed."""

FRESH_BLOCKS: Final = 1
"""An event is answered by what was armed at most so many blocks before its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A plan signed ahead."""

    plan: Plan
    submission: Submission
    price: int
    """The feed's price that it was planned, rehearsed and signed at; it is due from there on."""
    is_under: Callable[[int], bool]
    """Whether the account is liquidatable at a price of the feed, by the exact rules."""
    feeds: frozenset[str]
    """All that the account's health depends on."""
    primed: Primed[Delivery] | None = field(default=None, repr=False, compare=False)
    """Its bytes for the lane, where they can be written at once."""

    @property
    def ref(self) -> AccountRef:
        """The account that it liquidates."""
        return self.plan.ref


class Salvo(Struct, frozen=True, kw_only=True):
    """The shots of one feed and one way that it may move, the first to cross first."""

    feed: str
    falls: bool
    shots: tuple[Shot, ...]
    lowest: int
    highest: int
    """The prices between which no guard objects."""
    block: int
    """The head that it was armed at."""
    until_ns: int = sys.maxsize
    """Until when, by ``time.perf_counter_ns``, its transactions may be in time for a block."""
    cleared: int = 0
    """So many of the first shots pass policy one after the other,"""
    as_of: int = -1
    """as of this state of the flight (``Flight.changes``)."""

    def due(self, price: int, block: int) -> list[Shot]:
        """Return the shots whose accounts are under the line at a price that came in a block."""
        if not self.block < block <= self.block + FRESH_BLOCKS:
            return []
        if not self.lowest <= price <= self.highest:
            return []
        found: list[Shot] = []
        for shot in self.shots:
            past = price <= shot.price if self.falls else price >= shot.price
            if not (past or self._is_exactly(shot, price)):
                break
            found.append(shot)
        return found

    def without(self, refs: frozenset[AccountRef]) -> "Salvo":
        """Return the salvo without accounts that changed; the others keep their nonces."""
        kept = tuple(shot for shot in self.shots if shot.ref not in refs)
        return self if len(kept) == len(self.shots) else self._with(kept)

    def journaled(self, signed: Mapping[Hash32, Shot]) -> "Salvo":
        """Return the salvo with the plans under which the journal has its transactions, primed.

        The same bytes may have been signed for two plans: of one account at two feeds' prices.
        """
        return self._with(
            tuple(
                replace(
                    shot,
                    plan=signed[shot.submission.tx_hash].plan,
                    submission=signed[shot.submission.tx_hash].submission,
                    primed=signed[shot.submission.tx_hash].primed,
                )
                for shot in self.shots
            )
        )

    def after(self, moved: frozenset[str]) -> "Salvo":
        """Return the salvo without accounts that depend on other feeds that moved."""
        others = moved - {self.feed}
        kept = tuple(shot for shot in self.shots if not shot.feeds & others)
        return self if len(kept) == len(self.shots) else self._with(kept)

    def _is_exactly(self, shot: Shot, price: int) -> bool:
        near = abs(price - shot.price) * NEAR <= shot.price
        return near and shot.is_under(price)

    def _with(self, shots: tuple[Shot, ...]) -> "Salvo":
        return replace(self, shots=shots, cleared=0)


class Since:
    """What changed in blocks after the head that is armed at, while that was still going on."""

    def __init__(self) -> None:
        self._refs: dict[AccountRef, int] = {}
        self._feeds: dict[str, int] = {}
        """The newest block that changed each."""

    def touched(self, refs: Collection[AccountRef], block: int) -> None:
        """Take note of accounts that changed in a block."""
        self._refs |= {one: max(block, self._refs.get(one, block)) for one in refs}

    def moved(self, feeds: Collection[str], block: int) -> None:
        """Take note of feeds that moved in a block."""
        self._feeds |= {one: max(block, self._feeds.get(one, block)) for one in feeds}

    def forget(self, block: int) -> None:
        """Forget what a head of that block has in it."""
        self._refs = {key: one for key, one in self._refs.items() if one > block}
        self._feeds = {key: one for key, one in self._feeds.items() if one > block}

    def left(self, salvo: Salvo) -> Salvo:
        """Return what may still be sent of a salvo that was planned at its head."""
        refs = frozenset(key for key, one in self._refs.items() if one > salvo.block)
        feeds = frozenset(key for key, one in self._feeds.items() if one > salvo.block)
        return salvo.without(refs).after(feeds)

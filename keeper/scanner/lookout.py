"""Who may be under the line: a ladder of look-up, hot set and full screen, each sound on its own.

A price event is looked up among the trigger prices of its feed, if nothing else got worse since
they were computed; else the accounts near the line are screened, if nothing moved far; else all
are. Every rung names all accounts that the exact rules would find, and some more: those decide.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Generic, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from keeper.core.errors import InvariantError
from keeper.core.lending import AccountRef
from keeper.core.screening import M, P, Screened
from keeper.scanner.columns import Block, Columns
from keeper.scanner.screen import places_under, some_under
from keeper.scanner.triggers import Index, Side, Triggers, build_index
from keeper.scanner.worth import Worth, worth_of

_CLOSE = 5e-4
"""How far a trigger price may be from the line: more than drift, floors and floats make of it."""

_MOST_CHANGED = 2_048
"""Places looked at apart before the index is built again."""

_FEW = 4
"""Accounts that the exact rules judge in the time that their columns take to be screened."""


class Rung(StrEnum):
    """How a question was answered."""

    TRIGGERS = "triggers"
    HOT_SET = "hot_set"
    SCREEN = "screen"


class Sighting(Struct, frozen=True, kw_only=True):
    """Accounts that may be under the line. No other one is."""

    refs: tuple[AccountRef, ...]
    rung: Rung


class Crossing(NamedTuple):
    """Who crosses first when a feed moves, nearest first, with prices that are not short of it."""

    falling: tuple[tuple[AccountRef, float], ...]
    rising: tuple[tuple[AccountRef, float], ...]


class Lookout(Generic[M, P]):
    """Watches the accounts of one deployment. One writer, which also asks."""

    def __init__(self, adapter: Screened[M, P]) -> None:
        """Watch nobody yet."""
        self._adapter = adapter
        self.columns = Columns()
        self._view: M | None = None
        self._prices: dict[str, int] = {}
        self._moved: dict[str, int] = {}
        """Prices of events that are not in ``_worth`` yet: a look-up does without."""
        self._worth: Worth | None = None
        self._sound: frozenset[str] = frozenset()
        """Feeds whose trigger prices hold while no other feed moves."""
        self._index: Index | None = None
        self._building: set[int] | None = None
        self._named: dict[int, AccountRef] = {}
        """Who is at the places that cross first, known beforehand."""

    def change(self, market: M, positions: Mapping[AccountRef, P | None]) -> None:
        """Take what accounts hold now; None is an account without debt."""
        for ref, position in positions.items():
            self._mark(self.columns.find(ref))
            if position is None:
                self.columns.drop(ref)
            else:
                exposure = self._adapter.exposure(market, position)
                self._mark(self.columns.put(ref, exposure))

    def clear(self, columns: Columns | None = None) -> None:
        """Forget everybody, as before a cold start; or know those of saved columns."""
        self.columns = columns or Columns()
        self._named = {}
        self._view = self._worth = self._index = self._building = None

    def see(self, view: M, prices: Mapping[str, int]) -> None:
        """Take the market's rates at a new time, and all prices."""
        self._view = view
        self._prices = dict(prices)
        self._moved = {}
        self._worth = worth_of(self._adapter, view, self.columns.keys, prices)
        self._sound = frozenset()

    def get_ready(self) -> None:
        """Find out beforehand whose events can be looked up: what is not known then is asked."""
        index, worth = self._index, self._now()
        feeds = () if index is None else index.sound_feeds(worth)
        self._sound = frozenset(feeds)

    def under(self) -> Sighting:
        """Screen everybody."""
        return self._screened(self._now())

    def under_after(self, prices: Mapping[str, int]) -> Sighting:
        """Return who may be under the line after feeds moved, until the next ``see``."""
        self._prices.update(prices)
        self._moved.update(prices)
        index = self._index
        if index is None or len(index.changed) > _MOST_CHANGED:
            return self.under()
        feed = next(iter(prices)) if len(prices) == 1 else ""
        if self._may_look_up(index, feed):
            found, rung = index.triggers[feed].at(float(prices[feed])), Rung.TRIGGERS
        elif index.is_hot_sound_for(self._now()):
            found, rung = index.hot_under(self._now().values), Rung.HOT_SET
        else:
            return self.under()
        return self._besides(index, None, found, rung)

    def foresee(self, prices: Mapping[str, int]) -> Sighting:
        """Screen everybody as if feeds were at these prices; nothing is remembered of it."""
        return self._screened(self._now().with_prices(prices))

    def ask(self, rung: Rung, prices: Mapping[str, int]) -> Sighting | None:
        """Ask one rung as ``foresee`` asks the last; None where it cannot tell."""
        worth, index = self._now().with_prices(prices), self._index
        feed = next(iter(prices)) if len(prices) == 1 else ""
        if rung is Rung.SCREEN:
            return self._screened(worth)
        if index is None:
            return None
        if rung is Rung.HOT_SET:
            hot = index.is_hot_sound_for(worth)
            return self._besides(index, worth, index.hot_under(worth.values), rung) if hot else None
        if not index.is_sound_for(worth, feed):
            return None
        return self._besides(index, worth, index.triggers[feed].at(float(prices[feed])), rung)

    def nearest(self, many: int) -> set[AccountRef]:
        """Return the accounts that cross first, ``many`` for each way a feed can move.

        They are named without being looked up from then on.
        """
        index, worth = self._index, self._now()
        if index is None:
            return set()
        found = [
            place
            for feed, number in worth.feeds.items()
            if feed in index.triggers
            for place in index.triggers[feed].next_to(worth.prices[number], many).tolist()
        ]
        known, look_up = self._named, self.columns.ref
        self._named = {place: known.get(place) or look_up(place) for place in set(found)}
        return set(self._named.values())

    def crossing(self, many: int) -> dict[str, Crossing]:
        """Return, for each feed whose trigger prices hold, who crosses first as it moves.

        An account that changed since the index was built is not in it.
        """
        index, worth = self._index, self._now()
        if index is None:
            return {}
        return {
            feed: self._crossing(index.triggers[feed], worth.prices[worth.feeds[feed]], many)
            for feed in index.sound_feeds(worth)
        }

    def _crossing(self, triggers: Triggers, price: float, many: int) -> Crossing:
        falling, rising = triggers.falling, triggers.rising
        # What errs on the safe side may be past the price although the account is not under.
        below = int(falling.prices.searchsorted(price * (1 + _CLOSE), "right"))
        above = int(rising.prices.searchsorted(price * (1 - _CLOSE), "left"))
        first, last = max(below - many, 0), above + many
        return Crossing(
            falling=self._priced(falling, range(below - 1, first - 1, -1)),
            rising=self._priced(rising, range(above, min(last, len(rising.places)))),
        )

    def _priced(self, side: Side, at: range) -> tuple[tuple[AccountRef, float], ...]:
        changed = self._index.changed if self._index else set[int]()
        places = [(int(side.places[i]), float(side.prices[i])) for i in at]
        return tuple(
            (self.columns.ref(place), price) for place, price in places if place not in changed
        )

    @property
    def is_stale(self) -> bool:
        """Return whether some feed's trigger prices do not hold any more: ``build`` again."""
        index, worth = self._index, self._now()
        if index is None or len(index.changed) > _MOST_CHANGED:
            return True
        return len(index.sound_feeds(worth)) < len(worth.feeds)

    def build(self) -> "Build":
        """Begin a new index. Run what is returned anywhere, a thread included, then ``adopt``."""
        self._building = set()
        return Build(blocks=tuple(self.columns.places()), worth=self._now(), changed=self._building)

    def adopt(self, index: Index) -> None:
        """Use an index that was built since; one of before a cold start is of no use."""
        if index.changed is self._building:
            self._index = index
            self.get_ready()

    def _now(self) -> Worth:
        """Return what factors are worth, those of accounts that came since included."""
        if self._view is None or self._worth is None:
            msg = "accounts looked at before a market was seen"
            raise InvariantError(msg)
        if len(self._worth.rates) != len(self.columns.keys):
            self._worth = worth_of(self._adapter, self._view, self.columns.keys, self._prices)
        elif self._moved:
            self._worth = self._worth.with_prices(self._moved)
        if self._moved:  # it is forgotten here: only where one feed alone moved does its own hold
            alone = self._moved.keys() if len(self._moved) == 1 else ()
            self._sound = self._sound.intersection(alone)
        self._moved = {}
        return self._worth

    def _may_look_up(self, index: Index, feed: str) -> bool:
        """Return whether the trigger prices of the one feed that moved hold now."""
        if self._prices.get(feed, 0) <= 0:
            return False
        if self._moved.keys() == {feed} and feed in self._sound:
            return True
        return index.is_sound_for(self._now(), feed)

    def _mark(self, place: int | None) -> None:
        """Tell the index, and the one that is being built, that a place is written."""
        if place is None:
            return
        self._named.pop(place, None)
        for changed in (self._building, self._index.changed if self._index else None):
            if changed is not None:
                changed.add(place)

    def _screened(self, worth: Worth) -> Sighting:
        return Sighting(refs=self._refs(places_under(self.columns, worth.values)), rung=Rung.SCREEN)

    def _besides(
        self, index: Index, worth: Worth | None, found: NDArray[np.int64], rung: Rung
    ) -> Sighting:
        """Return what the index found, and who of those that changed since may be under."""
        if index.changed:
            changed = self._changed_under(index, worth)
            # Not by np.unique, which loads numpy.ma: 25 ms within the first price.
            found = np.array(sorted({*found.tolist(), *changed}), np.int64)
        return Sighting(refs=self._refs(found), rung=rung)

    def _changed_under(self, index: Index, worth: Worth | None) -> Collection[int]:
        """Screen those that changed, but a few: the rules judge them sooner."""
        if len(index.changed) <= _FEW:
            return index.changed
        values = (worth or self._now()).values
        found = [
            first
            + slots[
                some_under(
                    block.keys[:, slots], block.weights[:, slots], block.slack[slots], values
                )
            ]
            for first, block, slots in self.columns.rows(index.changed)
        ]
        screened: list[int] = np.concatenate(found).tolist()
        return screened

    def _refs(self, places: NDArray[np.int64]) -> tuple[AccountRef, ...]:
        known, look_up = self._named, self.columns.ref
        named = [known.get(place) or look_up(place) for place in places.tolist()]
        return (*named, *self.columns.odd)


class Build(Struct, frozen=True, kw_only=True):
    """The work of building an index: numbers only, so that a thread may do it."""

    blocks: tuple[tuple[int, Block], ...]
    worth: Worth
    changed: set[int]

    def run(self) -> Index:
        """Compute the index."""
        return build_index(self.blocks, self.worth, self.changed)

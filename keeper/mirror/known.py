"""Every account that ever owed something: those that do by their positions, the others by name.

Nothing is kept twice: at a million accounts a set of them would be larger than their positions, and
to add one would be to copy it.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from keeper.core.lending import AccountRef, Scope
from keeper.core.ports import ProtocolAdapter
from keeper.core.units import ZERO_ADDRESS
from keeper.mirror.positions import PackedPositions, Packing, Positions
from keeper.mirror.snapshot import M, P

# Any: whose positions these are is not asked.
Held = Positions[Any]

_NAMES_ALONE: Final[Packing[bool]] = Packing(pack=lambda _: b"", unpack=lambda _: True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known(Collection[AccountRef]):
    """Accounts, as they were known at a block."""

    held: Held
    """Who owes something."""
    idle: PackedPositions[bool]
    """Who does not any more."""

    @classmethod
    def of(cls, accounts: Iterable[AccountRef], held: Held) -> "Known":
        """Return accounts, and those that ``held`` says owe something."""
        idle = PackedPositions(_NAMES_ALONE)
        gone = dict.fromkeys(_absent(accounts, held), True)
        return cls(held=held, idle=idle.with_changes(gone))

    def after(self, changed: Iterable[AccountRef], held: Held) -> "Known":
        """Return them with ``changed``: nobody else began or ceased to owe something."""
        moves = {ref: None if ref in held else True for ref in changed}
        return Known(held=held, idle=self.idle.with_changes(moves))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.held) + len(self.idle)

    def __iter__(self) -> Iterator[AccountRef]:
        """Yield each of them once."""
        return chain(self.held, self.idle)

    def __contains__(self, ref: object) -> bool:
        """Return whether an account is among them."""
        return ref in self.held or ref in self.idle

    def beyond(self, older: Collection[AccountRef]) -> Iterator[AccountRef]:
        """Yield who is not in an older one; what both share is not gone through."""
        some: Iterable[AccountRef] = self
        if isinstance(older, Known):
            some = chain(self.held.unlike(older.held), self.idle.unlike(older.idle))
        return _absent(some, older)


def scope_of(adapter: ProtocolAdapter[M, P], market: M) -> Scope:
    """Return where a deployment's accounts are."""
    places = frozenset(ref.market for ref in adapter.refs_of(market, ZERO_ADDRESS))
    return Scope(since=adapter.start_block, places=places)


def inside(scope: Scope, accounts: Iterable[AccountRef]) -> frozenset[AccountRef]:
    """Return which accounts are in a scope: more may be kept under a deployment's name."""
    return frozenset(ref for ref in accounts if ref.market in scope.places)


def outside(scope: Scope, held: Held, before: Scope) -> frozenset[AccountRef]:
    """Return whose positions, which were all in another scope, are not in this one."""
    if before.places <= scope.places:
        return frozenset()
    return frozenset(ref for ref in held if ref.market not in scope.places)


def _absent(accounts: Iterable[AccountRef], there: Collection[AccountRef]) -> Iterator[AccountRef]:
    return (ref for ref in accounts if ref not in there)

"""Every position, exact, in few bytes: an immutable mapping that shares what did not change.

Accounts are spread over small buckets by their addresses. A bucket is one bytes object: how many
accounts, their names, where each one's packed position ends, then the positions. Buckets stand on
shelves. A change makes new buckets for the accounts that changed, new shelves for those, and keeps
the others: older mappings stay as they were, and what a change costs, or a search for garbage after
it, does not grow with the accounts.
"""

import struct
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, Generic, TypeVar
from zlib import crc32

from msgspec import Struct

from keeper.core.lending import AccountRef
from keeper.core.ports import ProtocolAdapter
from keeper.core.screening import Screened
from keeper.core.units import Address

M = TypeVar("M")
P = TypeVar("P")

_ADDRESS: Final = 20
_NAME: Final = _ADDRESS + 2
_FEW: Final = 16
"""Accounts of a bucket, about, when the buckets are laid out anew."""
_EMPTY: Final = b"\x00\x00"
_SHELF_BITS: Final = 6
_SHELF: Final = 1 << _SHELF_BITS
"""Buckets on a shelf."""


class Positions(Mapping[AccountRef, P]):
    """Positions by account, as they were when they were read."""

    @abstractmethod
    def with_changes(self, changes: Mapping[AccountRef, P | None]) -> "Positions[P]":
        """Return the mapping after accounts changed; None takes one away."""

    @abstractmethod
    def unlike(self, older: Mapping[AccountRef, P]) -> Iterator[AccountRef]:
        """Yield at least every account that is not in an older mapping."""


def no_positions(adapter: ProtocolAdapter[M, P]) -> Positions[P]:
    """Return an empty mapping, packed if the adapter can pack."""
    if isinstance(adapter, Screened):
        return PackedPositions(Packing(pack=adapter.pack, unpack=adapter.unpack))
    return PlainPositions({})


class PlainPositions(Positions[P]):
    """Positions as they are."""

    def __init__(self, held: dict[AccountRef, P]) -> None:
        """Hold what nobody else will change."""
        self._held = held

    def __len__(self) -> int:
        """Return how many accounts there are."""
        return len(self._held)

    def __iter__(self) -> Iterator[AccountRef]:
        """Yield every account."""
        return iter(self._held)

    def __getitem__(self, ref: AccountRef) -> P:
        """Return an account's position; raise KeyError without one."""
        return self._held[ref]

    def with_changes(self, changes: Mapping[AccountRef, P | None]) -> "PlainPositions[P]":
        """Return the mapping after accounts changed; None takes one away."""
        kept = {ref: one for ref, one in self._held.items() if ref not in changes}
        fresh = {ref: one for ref, one in changes.items() if one is not None}
        return PlainPositions(kept | fresh)

    def unlike(self, older: Mapping[AccountRef, P]) -> Iterator[AccountRef]:
        """Yield every account that is not in an older mapping."""
        return (ref for ref in self._held if ref not in older)


class Packing(Struct, Generic[P], frozen=True, kw_only=True):
    """How one position becomes bytes and comes back."""

    pack: Callable[[P], bytes]
    unpack: Callable[[bytes], P]


class Shelves:
    """Buckets in their order. Never changed: a change shares all shelves but those it touches."""

    def __init__(self, shelves: Sequence[Sequence[bytes]], many: int) -> None:
        """Take shelves of equal length as they are."""
        self.shelves = shelves
        self._many = many

    @classmethod
    def of(cls, buckets: Sequence[bytes]) -> "Shelves":
        """Return buckets on shelves."""
        shelves = [buckets[at : at + _SHELF] for at in range(0, len(buckets), _SHELF)]
        return cls(shelves, len(buckets))

    def __len__(self) -> int:
        """Return how many buckets there are."""
        return self._many

    def __iter__(self) -> Iterator[bytes]:
        """Yield every bucket."""
        return chain.from_iterable(self.shelves)

    def __getitem__(self, which: int) -> bytes:
        """Return a bucket."""
        return self.shelves[which >> _SHELF_BITS][which & _SHELF - 1]

    def with_changes(self, changes: Mapping[int, bytes]) -> "Shelves":
        """Return the buckets with some replaced."""
        fresh: dict[int, list[bytes]] = {}
        for which, bucket in changes.items():
            at = which >> _SHELF_BITS
            fresh.setdefault(at, list(self.shelves[at]))[which & _SHELF - 1] = bucket
        shelves = [fresh.get(at, shelf) for at, shelf in enumerate(self.shelves)]
        return Shelves(shelves, self._many)

    def unlike(self, older: "Shelves") -> Iterator[bytes]:
        """Yield the buckets that an older one does not share; all of them if it has others."""
        if len(self) != len(older):
            yield from self
            return
        for shelf, before in zip(self.shelves, older.shelves, strict=True):
            if shelf is not before:
                yield from (one for one, old in zip(shelf, before, strict=True) if one is not old)


class PackedPositions(Positions[P]):
    """Positions by account."""

    def __init__(
        self,
        packing: Packing[P],
        buckets: Shelves | None = None,
        markets: tuple[str, ...] = (),
        count: int = 0,
    ) -> None:
        """Hold nobody; or what another mapping's ``parts`` say."""
        self._packing = packing
        self.buckets = buckets or Shelves.of([_EMPTY])
        self._markets = markets
        self._count = count

    def __len__(self) -> int:
        """Return how many accounts there are."""
        return self._count

    def __iter__(self) -> Iterator[AccountRef]:
        """Yield every account, in the same order each time."""
        for bucket in self.buckets:
            for name, _ in _entries(bucket):
                yield self._ref(name)

    def items(self) -> "PackedItems[P]":  # type: ignore[override] # all that is asked of it
        """Return every account with its position."""
        return PackedItems(self)

    def walk(self) -> Iterator[tuple[AccountRef, P]]:
        """Yield every account with its position."""
        for bucket in self.buckets:
            for name, packed in _entries(bucket):
                yield self._ref(name), self._packing.unpack(packed)

    def __getitem__(self, ref: AccountRef) -> P:
        """Return an account's position; raise KeyError without one."""
        packed = self._packed(ref)
        if packed is None:
            raise KeyError(ref)
        return self._packing.unpack(packed)

    def __contains__(self, ref: object) -> bool:
        """Return whether there is a position of an account, without unpacking it."""
        return isinstance(ref, AccountRef) and self._packed(ref) is not None

    def unlike(self, older: Mapping[AccountRef, P]) -> Iterator[AccountRef]:
        """Yield the accounts of all buckets that an older mapping does not share."""
        if not isinstance(older, PackedPositions):
            return iter(self)
        buckets = self.buckets.unlike(older.buckets)
        return (self._ref(name) for bucket in buckets for name, _ in _entries(bucket))

    def with_changes(self, changes: Mapping[AccountRef, P | None]) -> "PackedPositions[P]":
        """Return the mapping after accounts changed; None takes one away."""
        if len(self) + len(changes) > 2 * _FEW * len(self.buckets):
            return self._laid_out(len(self) + len(changes)).with_changes(changes)
        markets = self._markets
        by_bucket: dict[int, dict[bytes, bytes | None]] = {}
        for ref, position in changes.items():
            if ref.market not in markets:
                markets = (*markets, ref.market)
            name = _name_of(ref, markets)
            packed = None if position is None else self._packing.pack(position)
            by_bucket.setdefault(self._which(name), {})[name] = packed
        fresh, count = {}, self._count
        for which, new in by_bucket.items():
            held = dict(_entries(self.buckets[which]))
            count -= len(held)
            held.update((name, packed) for name, packed in new.items() if packed is not None)
            left = {one: held[one] for one in held if new.get(one, b"") is not None}
            count += len(left)
            fresh[which] = _bucket(left)
        return PackedPositions(self._packing, self.buckets.with_changes(fresh), markets, count)

    def _laid_out(self, count: int) -> "PackedPositions[P]":
        """Return the same mapping in as many buckets as ``count`` accounts need."""
        many = 1 << max(count // _FEW - 1, 0).bit_length()
        spread: list[dict[bytes, bytes]] = [{} for _ in range(many)]
        for bucket in self.buckets:
            for name, packed in _entries(bucket):
                spread[crc32(name) & many - 1][name] = packed
        buckets = Shelves.of([_bucket(one) for one in spread])
        return PackedPositions(self._packing, buckets, self._markets, self._count)

    def filled(
        self, buckets: list[bytes], markets: tuple[str, ...], count: int
    ) -> "PackedPositions[P]":
        """Return a mapping of what another one's ``parts`` said, with the same packing."""
        return PackedPositions(self._packing, Shelves.of(buckets), markets, count)

    @property
    def parts(self) -> tuple[list[bytes], tuple[str, ...], int]:
        """Return what it is made of: buckets, markets, how many accounts."""
        return list(self.buckets), self._markets, self._count

    def _which(self, name: bytes) -> int:
        return crc32(name) & len(self.buckets) - 1

    def _ref(self, name: bytes) -> AccountRef:
        market = self._markets[int.from_bytes(name[_ADDRESS:], "big")]
        return AccountRef(market=market, account=Address("0x" + name[:_ADDRESS].hex()))

    def _packed(self, ref: AccountRef) -> bytes | None:
        if ref.market not in self._markets:
            return None
        name = _name_of(ref, self._markets)
        return _look_up(self.buckets[self._which(name)], name)


class PackedItems(Generic[P]):
    """A view of a mapping's items."""

    def __init__(self, of: PackedPositions[P]) -> None:
        """View the items of a mapping."""
        self._of = of

    def __iter__(self) -> Iterator[tuple[AccountRef, P]]:
        """Yield every account with its position."""
        return self._of.walk()

    def __len__(self) -> int:
        """Return how many accounts there are."""
        return len(self._of)


def _name_of(ref: AccountRef, markets: tuple[str, ...]) -> bytes:
    return bytes.fromhex(ref.account[2:]) + markets.index(ref.market).to_bytes(2, "big")


def _bucket(entries: Mapping[bytes, bytes]) -> bytes:
    ends, end = [], 0
    for packed in entries.values():
        end += len(packed)
        ends.append(end)
    head = struct.pack(f"<H{len(ends)}I", len(ends), *ends)
    return b"".join((head, *entries, *entries.values()))


def _entries(bucket: bytes) -> Iterator[tuple[bytes, bytes]]:
    (many,) = struct.unpack_from("<H", bucket)
    names = 2 + 4 * many
    at = body = names + _NAME * many
    for i, end in enumerate(struct.unpack_from(f"<{many}I", bucket, 2)):
        start = names + _NAME * i
        yield bucket[start : start + _NAME], bucket[at : body + end]
        at = body + end


def _look_up(bucket: bytes, name: bytes) -> bytes | None:
    (many,) = struct.unpack_from("<H", bucket)
    names = 2 + 4 * many
    body = names + _NAME * many
    at = bucket.find(name, names, body)
    while at >= 0 and (at - names) % _NAME:
        at = bucket.find(name, at + 1, body)
    if at < 0:
        return None
    i = (at - names) // _NAME
    (end,) = struct.unpack_from("<I", bucket, 2 + 4 * i)
    (start,) = struct.unpack_from("<I", bucket, 4 * i - 2) if i else (0,)
    return bucket[body + start : body + end]

"""Every account's exposure as columns of numbers: what the screen multiplies at once.

Accounts of the same width (number of terms, rounded up) share a block, whose columns are
contiguous: one pass of numpy over each. A place is a block and a slot in it, as one integer.
Removed accounts leave a place that is never under the line, until another account takes it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from keeper.core.errors import InvariantError
from keeper.core.lending import AccountRef
from keeper.core.screening import Exposure, FactorKey
from keeper.core.units import Address
from keeper.scanner.places import Places, in_order

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Keys = NDArray[np.uint16]
Arrays = Mapping[str, NDArray[Any]]

WIDTHS: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256, 512)
"""Terms that an account of a block has room for."""

_SLOT_BITS: Final = 27
_SLOTS: Final = (1 << _SLOT_BITS) - 1
_FIRST_CAPACITY: Final = 16
_GROWTH: Final = 16
"""A full block grows by this part of itself."""
_MOST_KEYS: Final = 1 << 16
"""Factors that can be told apart; accounts of further ones are decided exactly."""

_NEVER: Final = -np.inf
"""The slack of an empty slot: no sum is below it."""


class Block:
    """Accounts of one width. Slots below ``used`` hold one or are empty."""

    def __init__(self, width: int, capacity: int = _FIRST_CAPACITY) -> None:
        """Make a block with room for ``capacity`` accounts."""
        self.used = 0
        self.ceiling = 0.0
        """At least every slack that was ever written here."""
        self.keys: Keys = np.zeros((width, capacity), np.uint16)
        self.weights: Floats = np.zeros((width, capacity), np.float64)
        self.slack: NDArray[np.float32] = np.full(capacity, _NEVER, np.float32)
        self.accounts: NDArray[np.uint8] = np.zeros((capacity, 20), np.uint8)
        self.markets: NDArray[np.uint16] = np.zeros(capacity, np.uint16)
        self._empty: list[int] = []

    @property
    def width(self) -> int:
        """Return how many terms an account has room for."""
        return len(self.keys)

    @property
    def nbytes(self) -> int:
        """Return the size of its arrays."""
        arrays = (self.keys, self.weights, self.slack, self.accounts, self.markets)
        return sum(array.nbytes for array in arrays)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns of the slots in use, by name."""
        used = self.used
        return {
            "keys": self.keys[:, :used],
            "weights": self.weights[:, :used],
            "slack": self.slack[:used],
            "accounts": self.accounts[:used],
            "markets": self.markets[:used],
        }

    def restore(self, columns: Arrays) -> None:
        """Take columns by name."""
        self.keys, self.weights = columns["keys"], columns["weights"]
        self.slack, self.accounts = columns["slack"], columns["accounts"]
        self.markets = columns["markets"]
        self.used = len(self.slack)
        self.ceiling = float(self.slack.max(initial=0.0))
        self._empty = np.flatnonzero(self.slack == _NEVER).tolist()

    def take(self) -> int:
        """Return a slot that is free, and no longer so."""
        if self._empty:
            return self._empty.pop()
        if self.used == self.keys.shape[1]:
            self._grow(self.used + max(self.used // _GROWTH, _FIRST_CAPACITY))
        self.used += 1
        return self.used - 1

    def free(self, slot: int) -> None:
        """Empty a slot."""
        self.slack[slot] = _NEVER
        self.keys[:, slot] = 0
        self.weights[:, slot] = 0.0
        self._empty.append(slot)

    def write(self, slot: int, keys: Sequence[int], weights: Sequence[float], slack: float) -> None:
        """Write an account's terms; the room that is left counts nothing."""
        many = len(keys)
        self.keys[:many, slot] = keys
        self.weights[:many, slot] = weights
        self.keys[many:, slot] = 0
        self.weights[many:, slot] = 0.0
        above = np.nextafter(np.float32(slack), np.float32(np.inf))
        self.ceiling = max(self.ceiling, float(above))
        self.slack[slot] = above

    def _grow(self, capacity: int) -> None:
        """Move to larger arrays; who still reads the old ones sees the accounts as they were."""
        more = capacity - self.keys.shape[1]
        self.keys = np.pad(self.keys, ((0, 0), (0, more)))
        self.weights = np.pad(self.weights, ((0, 0), (0, more)))
        self.slack = np.pad(self.slack, (0, more), constant_values=_NEVER)
        self.accounts = np.pad(self.accounts, ((0, more), (0, 0)))
        self.markets = np.pad(self.markets, (0, more))


@dataclass(slots=True)
class Columns:
    """The accounts of one deployment. One writer."""

    blocks: dict[int, Block] = field(default_factory=dict)
    """By the position of their width in ``WIDTHS``."""
    keys: list[FactorKey] = field(default_factory=lambda: [0])
    """What each column number stands for; number 0 is of no factor and counts nothing."""
    odd: set[AccountRef] = field(default_factory=set)
    """Accounts that are no weighted sum: always decided exactly."""
    _numbers: dict[FactorKey, int] = field(default_factory=dict)
    markets: list[str] = field(default_factory=list)
    _market_numbers: dict[str, int] = field(default_factory=dict)
    _found: Places = field(default_factory=Places)

    def __len__(self) -> int:
        """Return how many accounts there are."""
        return len(self._found) + len(self.odd)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that ``of_arrays`` needs besides ``markets``, by name."""
        # As text: an adapter's keys may be wider than any integer of numpy's.
        held: dict[str, NDArray[Any]] = {"factor_keys": np.array([str(key) for key in self.keys])}
        held["starts"], held["places"] = in_order(*self._names())
        for which, block in self.blocks.items():
            held |= {f"{which}.{name}": array for name, array in block.columns().items()}
        return held

    @classmethod
    def of_arrays(cls, arrays: Arrays, markets: Sequence[str]) -> "Columns":
        """Return columns from what ``arrays`` returned."""
        made = cls()
        made.keys = [int(key) for key in arrays["factor_keys"].tolist()]
        made._numbers = {key: number for number, key in enumerate(made.keys) if number}
        made.markets = list(markets)
        made._market_numbers = {name: number for number, name in enumerate(markets)}
        for which in {int(name.split(".")[0]) for name in arrays if name[0].isdigit()}:
            made.blocks[which] = Block(WIDTHS[which])
            own = {name: arrays[f"{which}.{name}"] for name in made.blocks[which].columns()}
            made.blocks[which].restore(own)
        made._found.restore(arrays["starts"], arrays["places"])
        return made

    def find(self, ref: AccountRef) -> int | None:
        """Return an account's place, None for one that has none."""
        name = self._name(ref)
        return next((p for p in self._found.candidates(name) if self._is_at(p, name)), None)

    def put(self, ref: AccountRef, exposure: Exposure | None) -> int | None:
        """Add or change an account; return its place, None for an odd one."""
        keys = None if exposure is None else self._numbered(exposure)
        if exposure is None or keys is None:
            self.drop(ref)
            self.odd.add(ref)
            return None
        self.odd.discard(ref)
        which = _block_of(len(exposure.terms))
        place = self.find(ref)
        if place is not None and place >> _SLOT_BITS != which:
            self.drop(ref)
            place = None
        if place is None:
            place = self._add(ref, which)
        weights = [weight for _, weight in exposure.terms]
        self.blocks[which].write(place & _SLOTS, keys, weights, exposure.slack)
        if self._found.is_due:
            self._found.rebuild(*self._names())
        return place

    def drop(self, ref: AccountRef) -> None:
        """Forget an account, known or not."""
        self.odd.discard(ref)
        place = self.find(ref)
        if place is not None:
            self._found.remove(self._name(ref))
            self.blocks[place >> _SLOT_BITS].free(place & _SLOTS)

    def ref(self, place: int) -> AccountRef:
        """Return the account at a place."""
        block, slot = self.blocks[place >> _SLOT_BITS], place & _SLOTS
        account = Address("0x" + block.accounts[slot].tobytes().hex())
        return AccountRef(market=self.markets[block.markets[slot]], account=account)

    @property
    def nbytes(self) -> int:
        """Return the size of everything that grows with the accounts."""
        return sum(block.nbytes for block in self.blocks.values()) + self._found.nbytes

    def places(self) -> Iterator[tuple[int, Block]]:
        """Yield each block with the place of its first slot."""
        for which, block in self.blocks.items():
            yield which << _SLOT_BITS, block

    def rows(self, places: Iterable[int]) -> list[tuple[int, Block, NDArray[np.int64]]]:
        """Return places by block: the place of its first slot, the block, the slots."""
        by_block: dict[int, list[int]] = {}
        for place in places:
            by_block.setdefault(place >> _SLOT_BITS, []).append(place & _SLOTS)
        return [
            (which << _SLOT_BITS, self.blocks[which], np.array(slots, np.int64))
            for which, slots in by_block.items()
        ]

    def _add(self, ref: AccountRef, which: int) -> int:
        block = self.blocks.get(which)
        if block is None:
            block = self.blocks[which] = Block(WIDTHS[which])
        slot = block.take()
        name = self._name(ref)
        block.accounts[slot] = np.frombuffer(name, np.uint8, 20)
        block.markets[slot] = int.from_bytes(name[20:], "big")
        place = which << _SLOT_BITS | slot
        self._found.add(name, place)
        return place

    def _is_at(self, place: int, name: bytes) -> bool:
        """Return whether the account at a place is the named one."""
        block, slot = self.blocks[place >> _SLOT_BITS], place & _SLOTS
        if block.slack[slot] == _NEVER or block.accounts[slot].tobytes() != name[:20]:
            return False
        return int(block.markets[slot]) == int.from_bytes(name[20:], "big")

    def _names(self) -> tuple[NDArray[np.uint64], Ints]:
        """Return the start of every account's address, and its place."""
        starts, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
        for first, block in self.places():
            held = np.flatnonzero(block.slack[: block.used] != _NEVER)
            eight = np.ascontiguousarray(block.accounts[held, :8])
            starts.append(eight.view(">u8").ravel().astype(np.uint64))
            places.append((first + held).astype(np.int32))
        return np.concatenate(starts), np.concatenate(places)

    def _name(self, ref: AccountRef) -> bytes:
        """Return an account as 22 bytes: its address, and the number of its market."""
        market = self._market_numbers.get(ref.market)
        if market is None:
            market = len(self.markets)
            self._market_numbers[ref.market] = market
            self.markets.append(ref.market)
        return bytes.fromhex(ref.account[2:]) + market.to_bytes(2, "big")

    def _numbered(self, exposure: Exposure) -> list[int] | None:
        """Return the column numbers of an account's factors; None when there are no more."""
        numbers = self._numbers
        for key, _ in exposure.terms:
            if key not in numbers:
                if len(self.keys) == _MOST_KEYS:
                    return None
                numbers[key] = len(self.keys)
                self.keys.append(key)
        return [numbers[key] for key, _ in exposure.terms]


def _block_of(terms: int) -> int:
    for which, width in enumerate(WIDTHS):
        if terms <= width:
            return which
    msg = f"an account's terms: expected at most {WIDTHS[-1]}, found {terms}"
    raise InvariantError(msg)

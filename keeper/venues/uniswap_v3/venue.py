"""Uniswap V3 as a place to swap. Implements ``core.ports.SwapVenue``."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from keeper.core.chain import BlockRef, CallResult
from keeper.core.errors import StaleError
from keeper.core.ports import Reader
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.venues.held_pools import HeldPools
from keeper.venues.pairs import Pair, pairs_over
from keeper.venues.uniswap_v3.book import UniswapV3Book
from keeper.venues.uniswap_v3.codec import (
    CHANGES,
    Ask,
    get_pool,
    pool_address,
    tick_spacing,
    word_at,
)
from keeper.venues.uniswap_v3.pool import PoolState
from keeper.venues.uniswap_v3.reads import PoolKey, read_pools

Slot = tuple[Address, Address, int]
"""A place for a pool: the pair in order, and the fee."""


class UniswapV3Settings(Struct, frozen=True, kw_only=True):
    """Which factory and pools to trust, and how far around the price to read them."""

    factory: Address
    fees: tuple[int, ...] = (100, 500, 3000, 10000)
    """Fee tiers to look for, hundredths of a basis point."""
    intermediates: tuple[Address, ...] = ()
    """Tokens that a path of two hops may go through."""
    reach_ticks: int = 3000
    """Ticks on each side of the price to read at least: 3000 is 26 % down and 35 % up."""
    recheck_blocks: int = 300
    """After how many blocks to look again for a pool that was not there."""


class UniswapV3Venue:
    """Reads the pools of one factory."""

    def __init__(
        self, reader: Reader, settings: UniswapV3Settings, *, name: str = "uniswap_v3"
    ) -> None:
        self._reader = reader
        self._settings = settings
        self._name = name
        self._keys: dict[Slot, PoolKey] = {}
        self._absent: dict[Slot, int] = {}
        self._asked: dict[Address, frozenset[Ask]] = {}
        self._held = HeldPools(reader, CHANGES, self._read)

    @property
    def name(self) -> str:
        """Return the venue's name in plans and books."""
        return self._name

    async def snapshot(
        self, pairs: Collection[tuple[Address, Address]], block: BlockRef
    ) -> UniswapV3Book:
        """Read the pools of the pairs, and those over the intermediates, as of ``block``.

        Raises StaleError when a pool does not answer like one.
        """
        wanted = pairs_over(pairs, self._settings.intermediates)
        await self._find([(*pair, fee) for pair in wanted for fee in self._settings.fees], block)
        found = self._known(wanted)
        return self._book(found, await self._held.at([key for _, key in found], block))

    def held(self, pairs: Collection[tuple[Address, Address]]) -> UniswapV3Book | None:
        """Return a snapshot of what was read last, of whatever block; None when some is missing."""
        wanted = pairs_over(pairs, self._settings.intermediates)
        slots = ((*pair, fee) for pair in wanted for fee in self._settings.fees)
        if not all(slot in self._keys or slot in self._absent for slot in slots):
            return None
        found = self._known(wanted)
        states = self._held.now([key for _, key in found])
        return None if states is None else self._book(found, states)

    def _known(self, pairs: Iterable[Pair]) -> list[tuple[Pair, PoolKey]]:
        slots = [(pair, (*pair, fee)) for pair in pairs for fee in self._settings.fees]
        return [(pair, self._keys[slot]) for pair, slot in slots if slot in self._keys]

    def _book(
        self, found: Iterable[tuple[Pair, PoolKey]], states: Mapping[Address, PoolState]
    ) -> UniswapV3Book:
        by_pair: dict[Pair, tuple[Address, ...]] = {}
        for pair, key in found:
            if key.address in states:
                by_pair[pair] = (*by_pair.get(pair, ()), key.address)
        return UniswapV3Book(
            venue=self._name,
            pools=states,
            by_pair=by_pair,
            intermediates=self._settings.intermediates,
        )

    async def refresh(self, block: BlockRef) -> None:
        """Bring the pools that were lately asked for to ``block``."""
        await self._held.refresh(block)

    async def _find(self, slots: Iterable[Slot], block: BlockRef) -> None:
        """Learn the pools of slots not known yet, and of those long not looked at."""
        oldest = block.number - self._settings.recheck_blocks
        unknown = [
            slot
            for slot in slots
            if slot not in self._keys and self._absent.get(slot, oldest) <= oldest
        ]
        if not unknown:
            return
        asked = [get_pool(self._settings.factory, *slot) for slot in unknown]
        answers = await self._reader.call_many(asked, block)
        found = {
            slot: pool_address(_data(answer, f"factory {self._settings.factory}"))
            for slot, answer in zip(unknown, answers, strict=True)
        }
        present = {slot: pool for slot, pool in found.items() if pool != ZERO_ADDRESS}
        self._absent |= dict.fromkeys(found.keys() - present.keys(), block.number)
        if not present:
            return
        spacings = await self._reader.call_many([tick_spacing(p) for p in present.values()], block)
        for (slot, pool), answer in zip(present.items(), spacings, strict=True):
            self._keys[slot] = PoolKey(
                address=pool,
                token0=slot[0],
                token1=slot[1],
                fee=slot[2],
                tick_spacing=word_at(_data(answer, f"pool {pool}"), 0, "tickSpacing"),
            )

    async def _read(
        self, keys: Sequence[PoolKey], block: BlockRef
    ) -> dict[Address, PoolState | None]:
        reach = self._settings.reach_ticks
        read = await read_pools(self._reader, keys, self._asked, block, reach_ticks=reach)
        self._asked |= {pool: asked for pool, (_, asked) in read.items()}
        return {pool: state for pool, (state, _) in read.items()}


def _data(answer: CallResult, what: str) -> bytes:
    if not answer.success:
        msg = f"{what}: expected an answer, found a revert"
        raise StaleError(msg)
    return answer.data

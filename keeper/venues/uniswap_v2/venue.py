"""Uniswap V2 and its forks as a place to swap. Implements ``core.ports.SwapVenue``."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import StaleError
from keeper.core.ports import Reader
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.evm.words import (
    WORD,
    address_at,
    ask,
    int_at,
    selector,
    topic,
    word_of_address,
)
from keeper.venues.held_pools import HeldPools
from keeper.venues.pairs import Pair, pairs_over
from keeper.venues.uniswap_v2.book import UniswapV2Book
from keeper.venues.uniswap_v2.pair import PairState

GET_PAIR: Final = selector("getPair(address,address)")
GET_RESERVES: Final = selector("getReserves()")
SYNC: Final = topic("Sync(uint112,uint112)")
"""Emitted by ``_update``, the only place where a pair's reserves change."""


class UniswapV2Settings(Struct, frozen=True, kw_only=True):
    """Which factory to trust, and what its pairs charge."""

    factory: Address
    fee: int = 3_000
    """Hundredths of a basis point of the amount in; forks differ."""
    intermediates: tuple[Address, ...] = ()
    """Tokens that a path of two hops may go through."""
    recheck_blocks: int = 300
    """After how many blocks to look again for a pair that was not there."""


class PairKey(Struct, frozen=True, kw_only=True):
    """What of a pair never changes."""

    address: Address
    tokens: Pair


class UniswapV2Venue:
    """Reads the pairs of one factory."""

    def __init__(
        self, reader: Reader, settings: UniswapV2Settings, *, name: str = "uniswap_v2"
    ) -> None:
        self._reader = reader
        self._settings = settings
        self._name = name
        self._keys: dict[Pair, PairKey] = {}
        self._absent: dict[Pair, int] = {}
        self._held = HeldPools(reader, frozenset((SYNC,)), self._read)

    @property
    def name(self) -> str:
        """Return the venue's name in plans and books."""
        return self._name

    async def snapshot(
        self, pairs: Collection[tuple[Address, Address]], block: BlockRef
    ) -> UniswapV2Book:
        """Read the pairs, and those over the intermediates, as of ``block``.

        Raises StaleError when a pair does not answer like one.
        """
        wanted = pairs_over(pairs, self._settings.intermediates)
        await self._find(wanted, block)
        keys = self._known(wanted)
        return self._book(keys, await self._held.at(keys, block))

    def held(self, pairs: Collection[tuple[Address, Address]]) -> UniswapV2Book | None:
        """Return a snapshot of what was read last, of whatever block; None when some is missing."""
        wanted = pairs_over(pairs, self._settings.intermediates)
        if not all(pair in self._keys or pair in self._absent for pair in wanted):
            return None
        keys = self._known(wanted)
        states = self._held.now(keys)
        return None if states is None else self._book(keys, states)

    def _known(self, pairs: Iterable[Pair]) -> list[PairKey]:
        return [self._keys[pair] for pair in pairs if pair in self._keys]

    def _book(self, keys: Iterable[PairKey], states: Mapping[Address, PairState]) -> UniswapV2Book:
        return UniswapV2Book(
            venue=self._name,
            pairs={key.tokens: states[key.address] for key in keys if key.address in states},
            intermediates=self._settings.intermediates,
        )

    async def refresh(self, block: BlockRef) -> None:
        """Bring the pairs that were lately asked for to ``block``."""
        await self._held.refresh(block)

    async def _find(self, pairs: Sequence[Pair], block: BlockRef) -> None:
        """Learn the pairs not known yet, and those long not looked at."""
        oldest = block.number - self._settings.recheck_blocks
        unknown = [
            pair
            for pair in pairs
            if pair not in self._keys and self._absent.get(pair, oldest) <= oldest
        ]
        factory = self._settings.factory
        calls = [ask(factory, GET_PAIR, *(word_of_address(t) for t in pair)) for pair in unknown]
        answers = await self._reader.call_many(calls, block) if calls else []
        for pair, answer in zip(unknown, answers, strict=True):
            found = address_at(_words(answer, 1, f"factory {factory}"), 0)
            if found == ZERO_ADDRESS:
                self._absent[pair] = block.number
            else:
                self._keys[pair] = PairKey(address=found, tokens=pair)

    async def _read(
        self, keys: Sequence[PairKey], block: BlockRef
    ) -> dict[Address, PairState | None]:
        calls = [Call(to=key.address, data=GET_RESERVES) for key in keys]
        answers = await self._reader.call_many(calls, block)
        found = zip(keys, answers, strict=True)
        return {key.address: self._state(key, answer) for key, answer in found}

    def _state(self, key: PairKey, answer: CallResult) -> PairState | None:
        """Return the pair's state, None while one of its reserves is empty."""
        data = _words(answer, 3, f"pair {key.address}")
        reserve0, reserve1 = int_at(data, 0), int_at(data, 1)
        if not reserve0 or not reserve1:
            return None
        return PairState(
            address=key.address,
            token0=key.tokens[0],
            token1=key.tokens[1],
            fee=self._settings.fee,
            reserve0=reserve0,
            reserve1=reserve1,
        )


def _words(answer: CallResult, count: int, what: str) -> bytes:
    if not answer.success or len(answer.data) < count * WORD:
        found = f"{len(answer.data)} bytes" if answer.success else "a revert"
        msg = f"{what}: expected {count * WORD} bytes, found {found}"
        raise StaleError(msg)
    return answer.data

"""Which questions give a pool's state, and the state that the answers give.

Questions come in up to three rounds: price and liquidity, then the bitmap words around the price,
then the ticks that they show. A guess (what was asked at the last block) is put in the first
round, so that a pool whose price moved little is read in one.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.venues.uniswap_v3.codec import Ask, Field, ask_pool, signed_word_at, word_at
from keeper.venues.uniswap_v3.pool import WORD_TICKS, PoolState, TickBand
from keeper.venues.uniswap_v3.tick_math import MAX_TICK, MIN_TICK

_SLOT0 = Ask(field=Field.SLOT0)
_LIQUIDITY = Ask(field=Field.LIQUIDITY)
_LIQUIDITY_NET = 1
"""Place of ``liquidityNet`` in the answer of ``ticks``."""

Answers = Mapping[Ask, bytes]


class PoolKey(Struct, frozen=True, kw_only=True):
    """What of a pool never changes."""

    address: Address
    token0: Address
    token1: Address
    fee: int
    tick_spacing: int


async def read_pools(
    reader: Reader,
    keys: Sequence[PoolKey],
    guesses: Mapping[Address, Collection[Ask]],
    block: BlockRef,
    *,
    reach_ticks: int,
) -> dict[Address, tuple[PoolState | None, frozenset[Ask]]]:
    """Return each pool's state at ``block`` and what had to be asked for it.

    The state is None for a pool that was never initialised. Raises StaleError when a pool does
    not answer like one.
    """
    answers: dict[Address, dict[Ask, bytes]] = {key.address: {} for key in keys}
    rounds = [(key, ask) for key in keys for ask in first_asks(guesses.get(key.address, ()))]
    while rounds:
        calls = [ask_pool(key.address, ask) for key, ask in rounds]
        results = await reader.call_many(calls, block)
        for (key, ask), result in zip(rounds, results, strict=True):
            if not result.success:
                msg = f"pool {key.address}: expected an answer to {ask}, found a revert"
                raise StaleError(msg)
            answers[key.address][ask] = result.data
        rounds = [(k, ask) for k in keys for ask in next_asks(k, answers[k.address], reach_ticks)]
    return {
        key.address: (
            pool_state(key, answers[key.address], reach_ticks),
            wanted(key, answers[key.address], reach_ticks),
        )
        for key in keys
    }


def first_asks(guess: Collection[Ask]) -> tuple[Ask, ...]:
    """Return the first round's questions to one pool."""
    return tuple({_SLOT0, _LIQUIDITY, *guess})


def next_asks(key: PoolKey, answers: Answers, reach_ticks: int) -> tuple[Ask, ...]:
    """Return what has to be asked next, nothing when the answers are complete."""
    return tuple(wanted(key, answers, reach_ticks) - answers.keys())


def wanted(key: PoolKey, answers: Answers, reach_ticks: int) -> frozenset[Ask]:
    """Return the questions that the answers so far show to matter."""
    if sqrt_price(answers) == 0:
        return frozenset((_SLOT0, _LIQUIDITY))
    words = [Ask(field=Field.WORD, at=word) for word in band_words(key, answers, reach_ticks)]
    ticks = (
        Ask(field=Field.TICK, at=tick)
        for ask in words
        if ask in answers
        for tick in ticks_of_word(ask.at, word_at(answers[ask], 0, "tickBitmap"), key.tick_spacing)
    )
    return frozenset((_SLOT0, _LIQUIDITY, *words, *ticks))


def sqrt_price(answers: Answers) -> int:
    """Return the pool's square-root price; 0 before it was initialised."""
    return word_at(answers[_SLOT0], 0, "slot0")


def band_words(key: PoolKey, answers: Answers, reach_ticks: int) -> range:
    """Return the bitmap words within reach of the price, at least one on each side."""
    per_word = WORD_TICKS * key.tick_spacing
    middle = signed_word_at(answers[_SLOT0], 1, "slot0") // per_word
    reach = -(-reach_ticks // per_word)
    lowest, highest = MIN_TICK // per_word, MAX_TICK // per_word
    return range(max(lowest, middle - reach), min(highest, middle + reach) + 1)


def ticks_of_word(word: int, bits: int, spacing: int) -> tuple[int, ...]:
    """Return the initialised ticks that one word of the bitmap shows, ascending."""
    start = word * WORD_TICKS
    return tuple((start + bit) * spacing for bit in range(WORD_TICKS) if bits >> bit & 1)


def pool_state(key: PoolKey, answers: Answers, reach_ticks: int) -> PoolState | None:
    """Return the state that complete answers describe, None before initialisation."""
    price = sqrt_price(answers)
    if price == 0:
        return None
    words = band_words(key, answers, reach_ticks)
    asks = sorted(
        (ask for ask in wanted(key, answers, reach_ticks) if ask.field is Field.TICK),
        key=lambda ask: ask.at,
    )
    band = TickBand(
        first_word=words[0],
        last_word=words[-1],
        ticks=tuple(ask.at for ask in asks),
        liquidity_net=tuple(signed_word_at(answers[a], _LIQUIDITY_NET, "ticks") for a in asks),
    )
    return PoolState(
        address=key.address,
        token0=key.token0,
        token1=key.token1,
        fee=key.fee,
        tick_spacing=key.tick_spacing,
        sqrt_price=price,
        tick=signed_word_at(answers[_SLOT0], 1, "slot0"),
        liquidity=word_at(answers[_LIQUIDITY], 0, "liquidity"),
        band=band,
    )

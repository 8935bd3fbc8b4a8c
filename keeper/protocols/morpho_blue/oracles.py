"""What Morpho's oracles are made of, as ``MorphoChainlinkOracleV2`` tells.

``price()`` is a constant times the vault's assets and two answers on the base's side, by the same
of the quote's, rounded down once (``ChainlinkDataFeedLib``, ``VaultLib``); what is the zero address
counts as one. Any contract may have these getters and reckon otherwise: a formula is a claim.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from keeper.core.chain import CallResult
from keeper.core.lending import Formula
from keeper.core.units import ZERO_ADDRESS, Address
from keeper.evm.words import address_at, ask, int_at
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.asking import Asking, is_word

_GETTERS = (*codec.FEED_GETTERS, *codec.VAULT_GETTERS, codec.SCALE_FACTOR)
_FEEDS, _SIDE = len(codec.FEED_GETTERS), len(codec.FEED_GETTERS) // 2


class OracleParts(NamedTuple):
    """What an oracle says that its price is made of."""

    feeds: tuple[Address, ...]
    moves_by_time: bool
    formula: Formula | None
    """None where a vault is part of it, or where the oracle does not tell of all of it."""


async def read_oracles(asking: Asking, oracles: Collection[Address]) -> dict[Address, OracleParts]:
    """Return what each oracle is made of. One that does not tell of its vaults may have some."""
    ordered, width = sorted(oracles), len(_GETTERS)
    answers = await asking.each([ask(one, getter) for one in ordered for getter in _GETTERS])
    return {
        oracle: _parts(answers[width * i : width * (i + 1)]) for i, oracle in enumerate(ordered)
    }


def _parts(answers: Sequence[CallResult]) -> OracleParts:
    feeds, vaults, scale = answers[:_FEEDS], answers[_FEEDS:-1], answers[-1]
    by_time = not all(map(is_word, vaults)) or bool(_named(vaults))
    is_told = all(map(is_word, (*feeds, scale)))
    return OracleParts(
        feeds=tuple(dict.fromkeys(_named(feeds))),
        moves_by_time=by_time,
        formula=Formula(
            scale=int_at(scale.data, 0),
            over=tuple(_named(feeds[:_SIDE])),
            under=tuple(_named(feeds[_SIDE:])),
        )
        if is_told and not by_time
        else None,
    )


def _named(answers: Collection[CallResult]) -> list[Address]:
    words = [address_at(one.data, 0) for one in answers if is_word(one)]
    return [one for one in words if one != ZERO_ADDRESS]

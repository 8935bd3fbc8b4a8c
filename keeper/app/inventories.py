"""Inventories that the chain's file names: each lends to one executor contract for good."""

from typing import Final

from keeper.config.settings import Settings
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import WORD, address_at, ask, selector

_EXECUTOR: Final = selector("executor()")


def inventories(settings: Settings) -> dict[str, Address]:
    """Return the inventories by their key in the chain's file."""
    sources = enumerate(settings.chain.flash_sources)
    return {f"flash_sources.{n}.pool": one.pool for n, one in sources if one.kind == "inventory"}


async def require_own_inventories(settings: Settings, reader: Reader, block: BlockRef) -> None:
    """Raise ConfigError, a line for each, for one that lends to another executor.

    It lends for nothing and so before all others, and each plan that borrowed of it would revert.
    Without an executor nothing is borrowed but in rehearsals.
    """
    named, executor = inventories(settings), settings.executor
    if executor is None or not named:
        return
    answers = await reader.call_many([ask(one, _EXECUTOR) for one in named.values()], block)
    found = [address_at(one.data, 0) if len(one.data) == WORD else "none" for one in answers]
    strange = [
        f"{settings.chain_path}: {key}: expected an inventory of executor {executor}, found {lent}"
        for key, lent in zip(named, found, strict=True)
        if lent != executor
    ]
    if strange:
        raise ConfigError("\n".join(strange))

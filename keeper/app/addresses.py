"""Every contract that a configuration names, with the file and the key that name it."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

from msgspec import Struct

from keeper.config.chain_file import UniswapV3Settings
from keeper.config.settings import Deployment, Settings
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError
from keeper.core.ports import Reader
from keeper.core.units import Address

_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")


class NamedContract(Struct, frozen=True, kw_only=True):
    """An address of the configuration at which there must be code."""

    path: Path
    key: str
    address: Address


def named_contracts(settings: Settings) -> tuple[NamedContract, ...]:
    """Return the contracts that the chain's file and those of the enabled deployments name."""
    chain = [
        NamedContract(path=settings.chain_path, key=key, address=address)
        for key, address in _of_chain(settings)
    ]
    deployments = [
        NamedContract(path=one.path, key=key, address=address)
        for one in settings.deployments
        if one.settings.enabled
        for key, address in _of_deployment(one)
    ]
    return (*chain, *deployments)


async def require_contracts(settings: Settings, reader: Reader, block: BlockRef) -> None:
    """Raise ConfigError, a line for each, when there is no code at an address."""
    named = named_contracts(settings)
    codes = await asyncio.gather(*(reader.code(one.address, block) for one in named))
    missing = [
        f"{one.path}: {one.key}: expected a contract at {one.address}, found no code"
        for one, code in zip(named, codes, strict=True)
        if not code
    ]
    if missing:
        raise ConfigError("\n".join(missing))


def _of_chain(settings: Settings) -> Iterator[tuple[str, Address]]:
    chain = settings.chain
    yield "multicall3", chain.multicall3
    yield "wrapped_native", chain.wrapped_native
    yield "native_feed", chain.native_feed
    for number, source in enumerate(chain.flash_sources):
        yield f"flash_sources.{number}.pool", source.pool
    for number, venue in enumerate(chain.venues):
        yield f"venues.{number}.factory", venue.factory
        if isinstance(venue, UniswapV3Settings):
            yield f"venues.{number}.quoter_v2", venue.quoter_v2
    for number, one in enumerate(chain.unwind):
        yield f"unwind.{number}.token", one.token
    for token, feed in chain.price_feeds.items():
        yield f"price_feeds.{token}", feed
    if chain.sequencer is not None:
        yield "sequencer.feed", chain.sequencer.feed


def _of_deployment(deployment: Deployment) -> Iterator[tuple[str, Address]]:
    """Return the parameters that are an address; each protocol has its own."""
    declared = fields(deployment.parameters)  # type: ignore[arg-type]  # any adapter's dataclass
    for one in declared:
        value = getattr(deployment.parameters, one.name)
        if isinstance(value, str) and _ADDRESS.fullmatch(value):
            yield f"parameters.{one.name}", Address(value)

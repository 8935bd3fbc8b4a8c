"""Connections to relays and builders, and the key by which they know us."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from keeper.app.outside import Dial
from keeper.chain.endpoint import Endpoint
from keeper.chain.relay import Relay
from keeper.evm.keys import parse_key
from keeper.evm.relay_signature import RelayIdentity
from keeper.evm.transaction import KEY_SIZE

RELAY_KEY_VARIABLE = "KEEPER_RELAY_KEY"


@asynccontextmanager
async def relay_desk(environment: Mapping[str, str]) -> AsyncIterator[Dial]:
    """Give a way to relays; their connections are closed with the block.

    Relays know a searcher by a key of its own, which holds nothing: ``KEEPER_RELAY_KEY``, or one
    of this run alone.
    """
    identities: list[RelayIdentity] = []

    def identity() -> RelayIdentity:
        if not identities:
            given = environment.get(RELAY_KEY_VARIABLE)
            key = parse_key(given, RELAY_KEY_VARIABLE) if given else os.urandom(KEY_SIZE)
            identities.append(RelayIdentity(key))
        return identities[0]

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:

        def dial(endpoint: Endpoint, signed: bool) -> Relay:  # noqa: FBT001 - a callable's
            return Relay(
                endpoint=endpoint, session=session, identity=identity() if signed else None
            )

        yield dial

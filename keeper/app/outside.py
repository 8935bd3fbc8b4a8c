"""Whom a keeper speaks to besides its nodes: relays, aggregators and a remote signer.

It does so through aiohttp, which takes long to load: each of them is loaded where it is configured.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from keeper.chain.endpoint import Endpoint
from keeper.config.settings import Settings
from keeper.core.errors import InvariantError
from keeper.core.ports import OfferDesk, Signer
from keeper.core.ports.sending import PrivateRelay

Dial = Callable[[Endpoint, bool], PrivateRelay]
"""Makes a relay of an endpoint; whether its requests are signed."""


@asynccontextmanager
async def relays_of(settings: Settings) -> AsyncIterator[Dial]:
    """Give a way to the relays of the lane; their connections are closed with the block."""
    if all(one.name != settings.sending.lane for one in settings.chain.lanes):
        yield _no_relay
        return
    from keeper.app.relays import relay_desk  # noqa: PLC0415 - see above

    async with relay_desk(os.environ) as dial:
        yield dial


@asynccontextmanager
async def offers_of(settings: Settings) -> AsyncIterator[OfferDesk | None]:
    """Give who is asked for better sales, None where nobody is."""
    if not settings.chain.aggregators:
        yield None
        return
    from keeper.app.aggregators import offer_desk  # noqa: PLC0415 - see above

    async with offer_desk(settings) as offers:
        yield offers


@asynccontextmanager
async def signers_of(settings: Settings, *, armed: bool) -> AsyncIterator[Sequence[Signer]]:
    """Give the signers of a web3signer, nobody where none is configured or nothing is sent.

    Raises ConfigError when it does not answer, or lacks a key.
    """
    wanted = settings.operator.web3signer
    if wanted is None or not armed:
        yield ()
        return
    from keeper.app.signers import remote_signers  # noqa: PLC0415 - see above

    async with remote_signers(settings, wanted) as signers:
        yield signers


def _no_relay(endpoint: Endpoint, signed: bool) -> PrivateRelay:  # noqa: FBT001 - a callable's
    del signed
    msg = f"{endpoint.label}: expected a lane of relays, found the mempool's"
    raise InvariantError(msg)

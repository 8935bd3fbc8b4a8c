"""The keys of a run: read when it is armed, never before; some may be with another process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from keeper.chain.web3signer import SignerDesk, Web3Signer
from keeper.config.settings import Settings


@asynccontextmanager
async def remote_signers(settings: Settings, *, armed: bool) -> AsyncIterator[list[Web3Signer]]:
    """Give the signers of the configured web3signer: none when disarmed or without one.

    Raises ConfigError when it does not answer, or lacks a key.
    """
    wanted = settings.operator.web3signer
    if wanted is None or not armed:
        yield []
        return
    async with aiohttp.ClientSession() as session:
        desk = SignerDesk(wanted.rpc, session, timeout_s=wanted.timeout_ms / 1_000)
        yield await desk.signers(
            wanted.addresses,
            chain_id=settings.chain.chain_id,
            key=f"{settings.path}: operator.web3signer",
        )

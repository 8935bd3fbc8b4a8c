"""The keys of a run that are with another process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from keeper.chain.web3signer import SignerDesk, Web3Signer
from keeper.config.keeper_file import Web3SignerSettings
from keeper.config.settings import Settings


@asynccontextmanager
async def remote_signers(
    settings: Settings, wanted: Web3SignerSettings
) -> AsyncIterator[list[Web3Signer]]:
    """Give the signers of the configured web3signer.

    Raises ConfigError when it does not answer, or lacks a key.
    """
    async with aiohttp.ClientSession() as session:
        desk = SignerDesk(wanted.rpc, session, timeout_s=wanted.timeout_ms / 1_000)
        yield await desk.signers(
            wanted.addresses,
            chain_id=settings.chain.chain_id,
            key=f"{settings.path}: operator.web3signer",
        )

"""A key at a web3signer: a keeper sends with it, and with nothing that it did not ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from keeper.chain.endpoint import parse_endpoint
from keeper.chain.web3signer import SignerDesk
from keeper.devnet.accounts import KEEPER_KEY
from keeper.evm.keys import parse_key
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode
from tests.support.web3signer_server import FakeWeb3Signer, fake_web3signer


@asynccontextmanager
async def remote_desk(
    folder: Path, market: MarketNode, proxy: FaultProxy, *, timeout_s: float = 5.0
) -> AsyncIterator[tuple[Desk, FakeWeb3Signer]]:
    """Run a keeper whose key is elsewhere."""
    with fake_web3signer(parse_key(KEEPER_KEY)) as server:
        async with aiohttp.ClientSession() as session:
            remote = SignerDesk(parse_endpoint(server.url), session, timeout_s=timeout_s)
            who, chain_id = market.market.accounts.keeper, market.market.chain_id
            signers: list[Any] = await remote.signers([who], chain_id=chain_id, key="k")
            async with keeper_desk(folder, market, [proxy.ws_url], keys=lambda: signers) as desk:
                yield desk, server


async def test_loans_are_liquidated_with_a_key_that_is_elsewhere(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with remote_desk(tmp_path, market, proxy) as (desk, server):
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        assert len(desk.ears.landed()) == len(desk.ears.sent_plans) > 1
        assert len(server.asked) == len(desk.ears.sent_plans)
        desk.require_invariants()


async def test_a_remote_key_that_signs_something_else_sends_nothing_until_it_is_honest(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with remote_desk(tmp_path, market, proxy) as (desk, server):
        server.alter = lambda data: data[:-1] + b"\xc1"
        desk.fall()
        await desk.until(lambda: "it is not used" in str(desk.ears.reasons()), mining=True)
        await desk.at_head()
        assert proxy.sent == []
        desk.require_invariants()
        server.alter = lambda data: data
        desk.fall(8_400)
        await desk.settle_landed()
        desk.require_invariants()


def _sent_after_mining(desk: Desk) -> bool:
    """Mine until it has sent: on a busy machine a signature may be late once more."""
    if not desk.ears.sent_plans and desk.session.keeper.acted_on >= desk.height():
        desk.mine()
    return bool(desk.ears.sent_plans)


async def test_a_remote_key_that_is_silent_skips_and_holds_up_nothing(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with remote_desk(tmp_path, market, proxy, timeout_s=1.0) as (desk, server):
        server.gate.clear()
        desk.fall()
        await desk.until(lambda: "found none" in str(desk.ears.skips), mining=True)
        desk.mine(2)
        await desk.at_head()
        assert proxy.sent == []
        server.gate.set()
        await desk.until(lambda: _sent_after_mining(desk))
        await desk.settle()
        assert len(desk.ears.landed()) == len(desk.ears.sent_plans) > 1
        desk.require_invariants()

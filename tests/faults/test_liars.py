"""One node of three lies, in ways that stop a keeper rather than turn it. Scenarios 7 and 11."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Lie
from tests.support.market_node import MarketNode
from tests.support.proxy_faults import Forge

Three = list[FaultProxy]
AHEAD = 40


class Claim:
    """So many blocks on top of one, consistent, and of no chain."""

    def __init__(self, base: dict[str, Any], blocks: int) -> None:
        self.first = int(base["number"], 16) + 1
        self.by_number: dict[int, dict[str, Any]] = {}
        self.by_hash: dict[str, dict[str, Any]] = {}
        parent = base
        for number in range(self.first, self.first + blocks):
            parent = parent | {
                "number": hex(number),
                "hash": f"0x{0xFA15E:0>8x}{number:056x}",
                "parentHash": parent["hash"],
                "timestamp": hex(int(parent["timestamp"], 16) + 1),
            }
            self.by_number[number] = self.by_hash[parent["hash"]] = parent

    def told(self, asked: list[Any], result: Any) -> Any:
        method, *params = asked
        if method == "eth_blockNumber":
            return hex(max(self.by_number))
        if method == "eth_getBlockByHash":
            return self.by_hash.get(params[0], result)
        if method != "eth_getBlockByNumber":
            return result
        wanted = max(self.by_number) if params[0] == "latest" else int(params[0], 16)
        return self.by_number.get(wanted, result)


def head_of(desk: Desk) -> int:
    """Return the newest block that the keeper was told of."""
    return desk.session.keeper.node("").block or 0


async def test_07_one_of_three_that_claims_more_blocks_and_takes_them_back_halts_nothing(
    market: MarketNode, tmp_path: Path, three_proxies: Three
) -> None:
    liar = three_proxies[0]
    urls = [one.url for one in three_proxies]
    async with keeper_desk(tmp_path, market, urls, chain={"quorum": 2}) as desk:
        claim = Claim(desk.rpc("eth_getBlockByNumber", "latest", False), AHEAD)
        liar.spoil(Lie(alter=claim.told))
        await desk.until(lambda: head_of(desk) >= max(claim.by_number))
        liar.heal()
        desk.mine()
        await desk.until(lambda: head_of(desk) == desk.height())
        desk.fall()
        await desk.settle_landed()
        assert desk.session.keeper.sending.standing.halted is None
        await desk.require_cold_start()
        desk.require_invariants()


async def test_07_a_reorg_beyond_the_limit_that_most_nodes_tell_halts_sending(
    market: MarketNode, tmp_path: Path, three_proxies: Three
) -> None:
    urls = [one.url for one in three_proxies]
    async with keeper_desk(tmp_path, market, urls, chain={"quorum": 2}) as desk:
        for _ in range(12):
            desk.mine()
            await desk.at_head()
        await desk.until(lambda: desk.session.keeper._settled == desk.session.keeper._newest)
        nobody = market.market.accounts.deployer
        desk.rpc("anvil_reorg", 10, [[{"from": nobody, "to": nobody}, 0]])
        await desk.until(lambda: desk.session.keeper.sending.standing.halted is not None)
        halted = desk.session.keeper.sending.standing.halted
        assert halted == "reorg: expected at most 8 blocks undone, found 10"


class Elsewhere:
    """A chain of its own, from the first block that is pushed on."""

    def __init__(self) -> None:
        self.first: str | None = None

    def __call__(self, pushed: Any) -> Any:
        if "parentHash" not in pushed:
            return pushed
        here, parent = (f"0x{0xFA15E:0>8x}{pushed[one][10:]}" for one in ("hash", "parentHash"))
        if self.first in (None, here):
            self.first, parent = here, pushed["parentHash"]
        return pushed | {"hash": here, "parentHash": parent}


def is_taken_in(desk: Desk) -> bool:
    """Return whether the newest head that the keeper was told of is a lie."""
    newest = desk.session.keeper._newest
    assert newest is not None
    return newest.hash.startswith("0x000fa15e")


@asynccontextmanager
async def mining(desk: Desk) -> AsyncIterator[None]:
    """Let blocks come faster than a silence is long enough to look for them."""

    async def mine() -> None:
        while True:
            desk.mine()
            await asyncio.sleep(0.15)

    task = asyncio.create_task(mine())
    try:
        yield
    finally:
        task.cancel()


async def test_11_one_of_three_that_pushes_a_chain_of_its_own_is_left_for_another(
    market: MarketNode, tmp_path: Path, three_proxies: Three
) -> None:
    liar = three_proxies[0]
    urls = [one.ws_url for one in three_proxies]
    chain = {"quorum": 2}
    async with keeper_desk(tmp_path, market, urls, chain=chain, check_s=15.0) as desk:
        rule = liar.spoil(Forge(alter=Elsewhere()))
        while not is_taken_in(desk):
            rule.fault = Forge(alter=Elsewhere())
            desk.mine()
            await asyncio.sleep(0.3)
        async with mining(desk):
            desk.fall()
            await desk.until(lambda: desk.ears.landed() != [] and not is_taken_in(desk))
        await desk.settle()
        for _ in range(5):
            desk.mine()
            await desk.at_head()
            assert not is_taken_in(desk)
        assert desk.session.keeper.sending.standing.halted is None
        await desk.require_cold_start()
        desk.require_invariants()

"""One node of three lies, in ways that stop a keeper rather than turn it. Scenarios 7 and 11."""

from pathlib import Path
from typing import Any

from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Lie
from tests.support.market_node import MarketNode

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

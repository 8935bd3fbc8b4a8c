"""The chain itself misbehaves: reorgs, rollbacks, nodes that disagree. Scenarios 7, 8, 10, 11."""

from pathlib import Path
from typing import Any

import pytest

from keeper.chain.trouble import Trouble
from keeper.devnet.executor import deploy_executor
from tests.support.fault_desk import Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Lie
from tests.support.market_node import MarketNode

Two = tuple[FaultProxy, FaultProxy]
Three = list[FaultProxy]


@pytest.mark.parametrize("depth", [1, 3])
async def test_07_a_reorg_is_rolled_back_to_the_common_parent(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, depth: int
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        desk.fall()
        await desk.settle()
        landed = len(desk.ears.landed())
        assert landed > 0
        desk.mine(2)
        desk.rpc("anvil_reorg", depth, [])
        await desk.at_head()
        await desk.settle()
        await desk.require_cold_start()
        desk.require_invariants()


@pytest.mark.parametrize("method", ["eth_getLogs", "eth_call"])
async def test_07_a_reorg_while_the_mirror_is_first_filled_is_followed(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, method: str
) -> None:
    def reorg(_: list[Any], result: Any) -> Any:
        market.live.rpc.call("anvil_reorg", 2, [])
        market.live.rpc.call("evm_mine")
        return result

    who = market.market.accounts
    executor = deploy_executor(
        market.live.rpc, owner=who.deployer, operator=who.keeper, recipient=who.recipient
    )
    market.live.rpc.call("anvil_mine", hex(3))
    rule = proxy.spoil(Lie(alter=reorg), method=method, count=1)
    async with keeper_desk(tmp_path, market, [proxy.url], executor=executor) as desk:
        assert rule.hits == 1
        desk.fall()
        await desk.settle_landed()
        await desk.require_cold_start()
        desk.require_invariants()


async def test_07_a_reorg_beyond_the_limit_is_followed_and_halts_sending(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        for _ in range(12):
            desk.mine()
            await desk.at_head()
        # With a transaction, or empty blocks of the same second are the very same blocks again.
        nobody = market.market.accounts.deployer
        desk.rpc("anvil_reorg", 10, [[{"from": nobody, "to": nobody}, 0]])
        # Its height is what it was, and a price is quicker than the walk back to what both have.
        await desk.until(lambda: desk.session.keeper.sending.standing.halted is not None)
        desk.fall()
        await desk.until(lambda: bool(desk.ears.rejections), mining=True)
        desk.mine(2)
        await desk.at_head()
        assert proxy.sent == []
        assert "reorg: expected at most 8 blocks undone, found 10" in str(desk.ears.reasons())
        await desk.require_cold_start()
        desk.require_invariants()


async def test_08_a_chain_that_shrinks_without_a_word_is_followed(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    async with keeper_desk(tmp_path, market, [proxy.ws_url]) as desk:
        desk.fall(9_000)
        desk.mine(4)
        await desk.at_head()
        desk.rpc("anvil_rollback", 5)
        gone = desk.height()
        await desk.until(lambda: desk.mirrors[0].snapshot.block.number == gone)
        desk.fall()
        await desk.settle_landed()
        await desk.require_cold_start()
        desk.require_invariants()


async def test_10_a_node_20_blocks_behind_is_not_used(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    first, second = proxies
    async with keeper_desk(tmp_path, market, [first.url, second.url]) as desk:
        old = desk.rpc("eth_getBlockByNumber", "latest", False)

        def behind(asked: list[Any], result: Any) -> Any:
            return old if asked[:2] == ["eth_getBlockByNumber", "latest"] else result

        first.spoil(Lie(alter=behind))
        desk.mine(20)
        await desk.until(lambda: bool(desk.told(Trouble.SWITCHED)))
        desk.fall()
        await desk.settle_landed()
        assert "blocks behind block" in desk.told(Trouble.UNFIT)[0]
        first.heal()
        await desk.require_cold_start()
        desk.require_invariants()


async def test_11_without_a_quorum_nothing_is_sent_and_it_is_said(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    first, second = proxies

    def dearer(asked: list[Any], blocks: Any) -> Any:
        for block in blocks if asked[0] == "eth_simulateV1" else ():
            for call in block["calls"]:
                call["gasUsed"] = hex(int(call["gasUsed"], 16) + 1)
        return blocks

    urls = [first.url, second.url]
    async with keeper_desk(tmp_path, market, urls, chain={"quorum": 2}) as desk:
        second.spoil(Lie(alter=dearer), method="eth_simulateV1")
        desk.fall()
        await desk.until(
            lambda: "quorum: expected 2 nodes" in str(desk.ears.reasons()), mining=True
        )
        desk.mine(2)
        await desk.at_head()
        assert first.sent + second.sent == []
        second.heal()
        await desk.settle_landed()
        await desk.require_cold_start()
        desk.require_invariants()


async def test_11_a_node_on_another_branch_has_no_voice_in_the_quorum(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    first, second = proxies

    def elsewhere(asked: list[Any], result: Any) -> Any:
        if not asked[0].startswith("eth_getBlockBy") or result is None:
            return result
        return result | {"hash": "0x" + "ab" * 32, "parentHash": "0x" + "cd" * 32}

    urls = [first.url, second.url]
    async with keeper_desk(tmp_path, market, urls, chain={"quorum": 2}) as desk:
        second.spoil(Lie(alter=elsewhere))
        desk.mine(3)
        await desk.until(lambda: any("expected 0x" in one for one in desk.told(Trouble.UNFIT)))
        desk.fall()
        await desk.until(
            lambda: "quorum: expected 2 nodes" in str(desk.ears.reasons()), mining=True
        )
        assert first.sent + second.sent == []
        second.heal()
        desk.fall(8_400)
        await desk.settle_landed()
        desk.require_invariants()


async def test_11_a_node_that_lies_about_costs_counts_and_balances_changes_nothing(
    market: MarketNode, tmp_path: Path, three_proxies: Three
) -> None:
    liar = three_proxies[0]

    def lie(asked: list[Any], result: Any) -> Any:
        if asked[0] == "eth_getTransactionReceipt" and result is not None:
            return result | {"status": "0x0", "gasUsed": "0x1", "effectiveGasPrice": "0x1"}
        if asked[0] == "eth_getTransactionCount":
            return hex(int(result, 16) + 40)
        return "0x0" if asked[0] == "eth_getBalance" else result

    urls = [one.url for one in three_proxies]
    async with keeper_desk(tmp_path, market, urls, chain={"quorum": 2}) as desk:
        liar.spoil(Lie(alter=lie))
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        landed = desk.ears.landed()
        assert len(landed) == len(desk.ears.outcomes) == len(desk.ears.sent_plans) > 1
        for one in landed:
            receipt = desk.rpc("eth_getTransactionReceipt", one.tx_hash)
            gas_used, price = receipt["gasUsed"], receipt["effectiveGasPrice"]
            assert one.gas_used == int(gas_used, 16)
            assert one.realised.gas == int(gas_used, 16) * int(price, 16)
        assert desk.session.keeper.sending.standing.halted is None
        await desk.require_cold_start()
        desk.require_invariants()


async def test_11_of_two_nodes_one_that_hides_what_landed_leaves_it_in_flight(
    market: MarketNode, tmp_path: Path, proxies: Two
) -> None:
    first, second = proxies
    urls = [first.url, second.url]
    async with keeper_desk(tmp_path, market, urls, chain={"quorum": 2}) as desk:
        first.spoil(Lie(alter=lambda _asked, _found: None), method="eth_getTransactionReceipt")
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        sent = len(desk.ears.sent_plans)
        for _ in range(3):
            desk.mine()
            await desk.at_head()
        assert desk.ears.outcomes == []
        assert len(desk.ears.sent_plans) == sent
        first.heal()
        await desk.settle()
        assert len(desk.ears.landed()) == sent
        desk.require_invariants()


def refused_by_quorum(desk: Desk) -> bool:
    """Return whether the lie was met by the rehearsal, or by whoever passes a head to sending."""
    rehearsed = "nodes to agree on what runs on block" in str(desk.ears.reasons())
    passed = any("told by most: base_fee: expected 1," in one for one in desk.ears.skips)
    return rehearsed or passed


async def test_11_a_head_whose_base_fee_is_a_lie_is_nothing_to_send_on(
    market: MarketNode, tmp_path: Path, three_proxies: Three
) -> None:
    liar = three_proxies[0]

    def cheaper(asked: list[Any], block: Any) -> Any:
        if not asked[0].startswith("eth_getBlockBy") or block is None:
            return block
        return block | {"baseFeePerGas": "0x1"}

    urls = [one.url for one in three_proxies]
    async with keeper_desk(tmp_path, market, urls, chain={"quorum": 2}) as desk:
        desk.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        rule = liar.spoil(Lie(alter=cheaper))
        desk.fall()
        await desk.until(
            lambda: refused_by_quorum(desk) or desk.told(Trouble.UNFIT) != [], mining=True
        )
        assert rule.hits > 0
        await desk.settle_landed()  # the liar goes on: another tells the heads instead
        await desk.until(lambda: "base_fee: expected" in str(desk.told(Trouble.UNFIT)))
        # An honest node's head may have been first: what went then must not rest on the lie.
        fees = [submission.fees for _, submission in desk.ears.sent_plans]
        assert min(one.max_fee - one.priority_fee for one in fees) > 10**6
        desk.require_invariants()

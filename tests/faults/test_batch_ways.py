"""Several accounts in one transaction by relays, and where a chain charges for its data.

On anvil the charge is not taken: the proxy enters it in the receipts, as such a chain does, at what
the chain's own oracle says of the signed transaction. Arbitrum's precompile is part of its node:
code of ours at its address answers its prices.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from keeper.chain.data_fees import ARB_GAS_INFO, GAS_PRICE_ORACLE
from keeper.core.plan import Status
from keeper.evm.signed_transaction import decode_signed
from keeper.evm.transaction import Draft
from keeper.evm.words import selector
from tests.faults.test_batches import TOGETHER, batches, books_of, purse
from tests.onchain.test_data_fees import L1_BLOCK, as_depositor, predeploy
from tests.support.fault_desk import BLOCK_S, Desk, keeper_desk
from tests.support.fault_proxy import FaultProxy, Lie
from tests.support.market_node import MarketNode
from tests.support.relay import TestRelay, running_relay

L1_BASE_FEE = 20 * 10**9


async def built(desk: Desk, relay: TestRelay, *, withhold: bool = False) -> None:
    """Let the relay build a block once it has something for it, or nothing seems to come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BLOCK_S):
            while not _is_due(relay, desk.height() + 1):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.005)
    await asyncio.to_thread(relay.build, withhold=withhold)
    await desk.at_head()


def _is_due(relay: TestRelay, number: int) -> bool:
    bundles = list(relay.bundles.values())
    return bool(relay.private) or any(one.block == number for one in bundles)


@pytest.mark.parametrize("kind", ["bundle", "private"])
async def test_a_batch_that_a_relay_withholds_at_first_lands_whole_and_is_in_the_books(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, kind: str
) -> None:
    own = purse(market)
    before = own.count(market.live.rpc)
    with running_relay(market.anvil.http_url) as relay:
        rpc: object = [relay.url] if kind == "bundle" else relay.url
        lanes = [{"kind": kind, "name": "relay", "rpc": rpc}]
        root = {"sending": {"lane": "relay", **TOGETHER["sending"]}}
        async with keeper_desk(
            tmp_path, market, [proxy.ws_url], chain={"lanes": lanes}, root=root
        ) as desk:
            desk.fall()
            await desk.until(lambda: bool(desk.ears.sent_plans))
            sent = batches(desk)
            assert max(len(plans) for plans in sent.values()) >= 3
            offered = [raw for one in relay.bundles.values() for raw in one.txs]
            assert len(offered or relay.private) == len(sent)
            await built(desk, relay, withhold=True)
            for _ in range(20):
                if not desk.session.keeper.in_flight:
                    break
                await built(desk, relay)
            await desk.settle()
            entries = books_of(desk).entries
            assert {entry.status for entry in entries} == {Status.LANDED}
            assert len({entry.tx_hash for entry in entries}) < len(entries)
            assert books_of(desk).total.realised.net == own.count(market.live.rpc) - before
            assert proxy.sent == []
            await desk.require_cold_start()
            desk.require_invariants()


def with_data_fees(market: MarketNode) -> None:
    """Put the OP stack's oracle there, with prices of a busy first layer."""
    predeploy(market.live.rpc)
    scalars = (1_368).to_bytes(4) + (810_949).to_bytes(4) + bytes(24)
    words = (L1_BASE_FEE, 10**9, 1, 1)
    data = selector("setL1BlockValuesEcotone()") + scalars
    as_depositor(market.live.rpc, L1_BLOCK, data + b"".join(word.to_bytes(32) for word in words))
    as_depositor(market.live.rpc, GAS_PRICE_ORACLE, selector("setEcotone()"))


def charged(market: MarketNode, tx_hash: str) -> int:
    """Return what the chain's own oracle says that a transaction's data costs, wei.

    It is asked about the unsigned transaction, and adds a signature itself.
    """
    rpc, keeper = market.live.rpc, market.market.accounts.keeper
    raw = bytes.fromhex(rpc.call("eth_getRawTransactionByHash", tx_hash)[2:])
    signed = decode_signed(raw, sender=keeper)
    draft = Draft.of(
        signed.transaction,
        chain_id=market.market.chain_id,
        nonce=signed.nonce,
        gas_limit=signed.gas_limit,
        fees=signed.fees,
    )
    data = selector("getL1Fee(bytes)") + encode(["bytes"], [draft.unsigned])
    body = {"to": GAS_PRICE_ORACLE, "data": "0x" + data.hex()}
    return int(rpc.call("eth_call", body, "latest"), 16)


async def test_the_charge_for_a_batch_s_data_is_divided_and_all_of_it_is_in_the_books(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    with_data_fees(market)
    fees: dict[str, int] = {}

    def charge(asked: list[Any], receipt: Any) -> Any:
        if receipt is None or receipt["from"] != market.market.accounts.keeper:
            return receipt
        fee = fees.setdefault(asked[1], charged(market, asked[1]))
        return {**receipt, "l1Fee": hex(fee)}

    proxy.spoil(Lie(alter=charge), method="eth_getTransactionReceipt")
    own = purse(market)
    async with keeper_desk(
        tmp_path, market, [proxy.ws_url], chain={"rollup": "op_stack"}, root=TOGETHER
    ) as desk:
        before = own.count(market.live.rpc)
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans))
        await desk.settle()
        sent = batches(desk)
        assert max(len(plans) for plans in sent.values()) >= 3
        assert sorted(fees) == sorted(sent)
        for tx_hash, plans in sent.items():
            forecast = sum(plan.data_cost.wei for plan in plans)
            assert 0 < fees[tx_hash] <= forecast <= fees[tx_hash] * 102 // 100
        books = books_of(desk)
        assert {entry.status for entry in books.entries} == {Status.LANDED}
        grown = own.count(market.live.rpc) - before
        assert books.total.realised.net == grown - sum(fees.values())
        desk.require_invariants()


WEI_PER_GAS = 10**9
WEI_PER_BYTE = 160 * WEI_PER_GAS
"""What Arbitrum's precompile answers: a byte of data is charged as so much gas."""


def with_arbitrum_prices(market: MarketNode) -> None:
    """Put code at the precompile's address that answers ``getPricesInWei``, whatever is asked."""
    words = (0, WEI_PER_BYTE, 0, 0, 0, WEI_PER_GAS)
    stores = b"".join(
        b"\x7f" + word.to_bytes(32) + b"\x60" + bytes([32 * place]) + b"\x52"
        for place, word in enumerate(words)
    )
    code = stores + b"\x60\xc0\x60\x00\xf3"
    market.live.rpc.call("anvil_setCode", ARB_GAS_INFO, "0x" + code.hex())


async def test_a_batch_on_arbitrum_pays_for_its_data_as_gas_and_is_in_the_books_to_the_wei(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy
) -> None:
    with_arbitrum_prices(market)
    extra: dict[str, int] = {}

    def charge(asked: list[Any], receipt: Any) -> Any:
        if receipt is None or receipt["from"] != market.market.accounts.keeper:
            return receipt
        raw = bytes.fromhex(market.live.rpc.call("eth_getRawTransactionByHash", asked[1])[2:])
        gas = extra.setdefault(asked[1], len(raw) * WEI_PER_BYTE // WEI_PER_GAS)
        used = hex(int(receipt["gasUsed"], 16) + gas)
        return {**receipt, "gasUsed": used, "gasUsedForL1": hex(gas)}

    def without_mempool(_: list[Any], found: Any) -> Any:
        return None if found and found["blockNumber"] is None else found

    proxy.spoil(Lie(alter=charge), method="eth_getTransactionReceipt")
    proxy.spoil(Lie(alter=without_mempool), method="eth_getTransactionByHash")
    own, chain = purse(market), {"rollup": "arbitrum"}
    async with keeper_desk(tmp_path, market, [proxy.ws_url], chain=chain, root=TOGETHER) as desk:
        before = own.count(market.live.rpc)
        desk.rpc("evm_setAutomine", True)  # a sequencer takes each as it comes
        desk.fall()
        await desk.until(lambda: bool(desk.ears.sent_plans), mining=True)
        await desk.settle()
        sent, books = batches(desk), books_of(desk)
        assert max(len(plans) for plans in sent.values()) >= 3
        assert sorted(extra) == sorted(sent)
        for tx_hash, plans in sent.items():
            receipt = desk.rpc("eth_getTransactionReceipt", tx_hash)
            assert extra[tx_hash] <= plans[0].data_cost.gas <= extra[tx_hash] * 103 // 100
            assert int(receipt["gasUsed"], 16) + extra[tx_hash] < plans[0].gas_limit
        assert {entry.status for entry in books.entries} == {Status.LANDED}
        grown = own.count(market.live.rpc) - before
        assert books.total.realised.net == grown - sum(
            gas * price_of(desk, tx_hash) for tx_hash, gas in extra.items()
        )
        desk.require_invariants()


def price_of(desk: Desk, tx_hash: str) -> int:
    """Return what a unit of a transaction's gas cost, wei."""
    return int(desk.rpc("eth_getTransactionReceipt", tx_hash)["effectiveGasPrice"], 16)

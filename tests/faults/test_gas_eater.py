"""Markets whose oracles take all the gas they are given keep nobody else from being liquidated."""

from pathlib import Path

import pytest

from keeper.core.lending import Reason
from keeper.core.units import MAX_UINT256, ZERO_ADDRESS, Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.morpho import LocalMorpho, build_morpho, liquidatable, market_id
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.prices import move_market
from keeper.devnet.sender import Sender
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.devnet.tokens import fund
from tests.support.fault_desk import keeper_desk
from tests.support.fault_proxy import FaultProxy
from tests.support.hostile_code import put
from tests.support.market_node import MarketNode
from tests.support.proxy_faults import Json, Lie, Refuse

PLACE = 3
"""Of the market of ether against dollars that has no early liquidation."""
LLTV = 86 * 10**16
ORACLES = tuple(Address("0x" + one * 20) for one in ("0d", "0e"))
"""Of a market each; both may move by time, as far as they tell."""
GREEDY = bytes.fromhex("5a6300989680106012575f545f5260205ff35b601256")
"""Loops for ever when it has more than 10,000,000 gas, which no read of a price gives it; else it
answers its slot 0."""
AT_FIRST = ASSETS["WETH"].price * 10**36 * 10**6 // 10 ** (8 + 18)
"""Of ether in dollars, as Morpho's oracles tell it."""
FALLEN = 9_300
"""Ether in basis points of its first price."""
ETHER, DOLLARS = 60 * 10**18, 60 * ASSETS["WETH"].price * 10**6 * 80 // (100 * 10**8)


def greedy(local: LocalMorpho, oracle: Address) -> str:
    """Make a market of genuine tokens, and a loan in it that is larger than all others."""
    live, morpho = local.live, local.morpho
    owner = Sender.of(live.rpc, live.market.accounts.supplier)
    put(live.rpc, oracle, GREEDY)
    set_price(local, oracle, AT_FIRST)
    ether, dollars = live.tokens["WETH"], live.tokens["USDC"]
    params = (dollars.address, ether.address, oracle, ZERO_ADDRESS, LLTV)
    fund(owner, live.tokens, owner.account, {"WETH": ETHER, "USDC": 2 * DOLLARS})
    for one in (ether, dollars):
        owner.call(one, "approve", morpho.address, MAX_UINT256)
    owner.call(morpho, "createMarket", params)
    owner.call(morpho, "supply", params, 2 * DOLLARS, 0, owner.account, b"")
    owner.call(morpho, "supplyCollateral", params, ETHER, owner.account, b"")
    # What is borrowed asks the oracle with all the gas of the transaction.
    owner.add(
        "borrow",
        to=morpho.address,
        data=morpho.encode("borrow", params, DOLLARS, 0, owner.account, owner.account),
        gas=1_000_000,
    )
    owner.mine()
    return market_id(params)


def set_price(local: LocalMorpho, oracle: Address, price: int) -> None:
    local.live.rpc.call("anvil_setStorageAt", oracle, f"0x{0:064x}", f"0x{price:064x}")


def as_geth_does(sent: list[Json], result: Json) -> Json:
    """Refuse a simulated block in which a transaction comes after one that took all the gas.

    As its ``simulator.sanitizeCall`` and ``core.GasPool`` have it.
    """
    del sent
    calls = result[0]["calls"]
    if any(int(one["gasUsed"], 16) > 20_000_000 for one in calls[:-1]):
        return Refuse(code=-38015, message="gas limit reached")
    return result


@pytest.mark.parametrize("node", ["anvil", "geth"])
async def test_all_others_are_liquidated(
    market: MarketNode, tmp_path: Path, proxy: FaultProxy, node: str
) -> None:
    loans = [loan_of(PLACE, 20_000, 10_400 + number) for number in range(3)]
    local = build_morpho(market.live, seed=5, borrowers=3, loans=loans)
    keys = [greedy(local, one) for one in ORACLES]
    if node == "geth":
        proxy.spoil(Lie(alter=as_geth_does), method="eth_simulateV1")
    for one in ORACLES:
        set_price(local, one, AT_FIRST * 90 // 100)
    move_market(market.live, {"WETH": ASSETS["WETH"].price * FALLEN // 10_000})
    assert len(liquidatable(local)) == len(loans)
    files = (morpho_file(local),)
    async with keeper_desk(tmp_path, market, [proxy.ws_url], deployments=files) as desk:
        await desk.until(lambda: len(desk.ears.sent_plans) == len(loans))
        desk.mine()
        await desk.settle()
        assert liquidatable(local) == []
        left = {one.ref.market: one.reason for one in desk.ears.rejections}
        assert {left[key] for key in keys} == {Reason.SIMULATION_FAILED}

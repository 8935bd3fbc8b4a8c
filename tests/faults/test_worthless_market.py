"""A market that anybody made of a token that is worth next to nothing holds up no other one."""

from pathlib import Path

from keeper.core.lending import Reason
from keeper.core.units import MAX_UINT256, ZERO_ADDRESS, Address
from keeper.devnet.morpho import LocalMorpho, build_morpho, liquidatable, market_id
from keeper.devnet.morpho_specs import loan_of
from keeper.devnet.sender import Sender
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.devnet.tokens import fund
from tests.support.fault_desk import keeper_desk
from tests.support.hostile_code import put
from tests.support.market_node import MarketNode

PLACE = 3
"""Of the market of ether against dollars that has no early liquidation."""
LLTV = 86 * 10**16
ORACLE = Address("0x" + "0d" * 20)
FROM_SLOT_0 = bytes.fromhex("5f545f5260205ff3")
"""PUSH0 SLOAD PUSH0 MSTORE PUSH1 32 PUSH0 RETURN: the answer to whatever is asked."""
AT_FIRST, LATER = 9 * 10**17, 7 * 10**17
"""A whole token is worth less than a wei: of 2**127 of them that is a hundred ether."""


def worthless(local: LocalMorpho) -> str:
    """Make a market of a token without decimals, and a loan in it that may be liquidated."""
    live = local.live
    owner = Sender.of(live.rpc, live.market.accounts.supplier)
    token = owner.deploy(live.tokens["USDC"].artifact, "Nothing", "NIL", 0)
    put(live.rpc, ORACLE, FROM_SLOT_0)
    set_price(local, AT_FIRST)
    ether, morpho = live.tokens["WETH"], local.morpho
    params = (ether.address, token.address, ORACLE, ZERO_ADDRESS, LLTV)
    fund(owner, live.tokens, owner.account, {"WETH": 200 * 10**18})
    owner.call(token, "mint(address,uint256)", owner.account, 2**127)
    for one in (token, ether):
        owner.call(one, "approve", morpho.address, MAX_UINT256)
    owner.call(morpho, "createMarket", params)
    owner.call(morpho, "supply", params, 200 * 10**18, 0, owner.account, b"")
    owner.call(morpho, "supplyCollateral", params, 2**127, owner.account, b"")
    owner.call(morpho, "borrow", params, 120 * 10**18, 0, owner.account, owner.account)
    owner.mine()
    return market_id(params)


def set_price(local: LocalMorpho, price: int) -> None:
    local.live.rpc.call("anvil_setStorageAt", ORACLE, f"0x{0:064x}", f"0x{price:064x}")


async def test_a_loan_against_a_token_worth_next_to_nothing_takes_nobody_else_out(
    market: MarketNode, tmp_path: Path
) -> None:
    loans = [loan_of(PLACE, 20_000, 10_400 + number) for number in range(3)]
    local = build_morpho(market.live, seed=5, borrowers=3, loans=loans)
    key = worthless(local)
    urls = [market.anvil.ws_url]
    async with keeper_desk(tmp_path, market, urls, deployments=(morpho_file(local),)) as desk:
        set_price(local, LATER)
        desk.fall(9_300)
        assert len(liquidatable(local)) == len(loans)
        await desk.until(lambda: len(desk.ears.sent_plans) == len(loans))
        desk.mine()
        await desk.settle()
        assert liquidatable(local) == []
        left = {one.ref.market: one.reason for one in desk.ears.rejections}
        assert left[key] is Reason.PRICE_UNUSABLE

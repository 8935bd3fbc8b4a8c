"""What others liquidate on Morpho Blue, in the books to the wei of what balances moved by."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from keeper.core.lending import AccountRef, Option
from keeper.core.taken import Cause
from keeper.core.units import WAD, Address
from keeper.devnet.contract import Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.morpho import LocalMorpho
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.evm.words import int_at
from tests.support.market_node import MarketNode, built_market
from tests.support.morpho_scene import morpho_node
from tests.support.others import (
    Onlooker,
    Worth,
    ask_at,
    fall,
    growth,
    onlooker,
    require_place,
    require_split,
    supplier_of,
)


@pytest.fixture(scope="module")
def bare_market(anvil_binary: Path) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=1, borrowers=0) as node:
        yield node


def token_of(live: LiveMarket, asset: Address) -> Contract:
    """Return an asset's contract."""
    return next(one for one in live.tokens.values() if one.address == asset)


async def test_morpho_early_late_and_with_bad_debt(
    anvil_binary: Path, bare_market: MarketNode, tmp_path: Path
) -> None:
    seen = Counter[str]()
    with morpho_node(anvil_binary, bare_market, borrowers=30) as (node, local):
        file = morpho_file(local)
        async with onlooker(tmp_path, node.live, node.anvil.http_url, file) as ours:
            for steps in (1, 8):
                fall(node.live, steps)
                await ours.look()
                for ref, option in ours.options()[:: 1 if steps == 1 else 2]:
                    seen[await taken_of_morpho(ours, local, ref, option)] += 1
    assert min(seen[one] for one in ("early", "late", "bad debt")) > 0


async def taken_of_morpho(
    ours: Onlooker, local: LocalMorpho, ref: AccountRef, option: Option
) -> str:
    """Let somebody liquidate an account in a block of its own; return what it was."""
    live, view = local.live, ours.view()
    (market,) = [one for one in local.markets if ref.market in (one.id, one.early)]
    adapter, supplier = ours.deployment.adapter, supplier_of(live)
    position = ours.deployment.mirror.snapshot.positions[ref]
    quote = adapter.seize(view, position, option, option.max_repay)
    (call,) = adapter.calls(view, ref, option, quote, supplier.account)
    supplier.add("liquidate", to=call.target, data=call.data)
    (receipt,) = supplier.mine()
    found = (await ours.look())[-1]
    assert (found.ref, found.liquidator, found.cause) == (ref, supplier.account, Cause.LATE)
    require_place(found, receipt)
    collateral, loan = (token_of(live, one) for one in (option.collateral, option.debt))
    assert found.seized == growth(live, found.block, collateral, supplier.account)
    assert found.repaid == -growth(live, found.block, loan, supplier.account)
    require_split(found, *worths_of_morpho(local, market.params, found.block))
    assert found.protocol_fee == 0
    if ref.market == market.early:
        return "early"
    (log,) = [one for one in receipt["logs"] if int(one["logIndex"], 16) == found.log_index]
    return "bad debt" if int_at(bytes.fromhex(log["data"][2:]), 3) else "late"


def worths_of_morpho(local: LocalMorpho, params: Sequence[Any], block: int) -> tuple[Worth, Worth]:
    """Return what collateral and loan token are worth to a market's oracle, in raw loan tokens.

    Where neither is ether, its price comes by way of the feed of the first of them.
    """
    live, (loan, collateral, oracle, *_) = local.live, params
    decimals = {one.token: one.decimals for one in live.market.assets}
    units = [10 ** decimals[one] for one in (collateral, loan)]
    asked = Contract(artifact=local.artifacts["FeedPairOracle"], address=oracle)
    price = ask_at(live, block, asked, "price")
    prices = {collateral: price * units[0] * WAD // 10**36, loan: units[1] * WAD}
    ether, first = live.market.weth, min(loan, collateral)
    feeds = {one: ask_at(live, block, live.oracle, "getAssetPrice", one) for one in (ether, first)}
    native = prices.get(ether) or prices[first] * feeds[ether] // feeds[first]
    return (
        Worth(price=prices[collateral], unit=units[0], native=native),
        Worth(price=prices[loan], unit=units[1], native=native),
    )

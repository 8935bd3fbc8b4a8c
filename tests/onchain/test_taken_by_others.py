"""What others liquidate on each protocol, in the books to the wei of what balances moved by."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keeper.chain.anvil import AnvilOptions
from keeper.core.lending import AccountRef, Option
from keeper.core.taken import Cause, Taken
from keeper.core.units import MAX_UINT256, WAD, Address
from keeper.devnet.contract import Artifact, Contract
from keeper.devnet.crash import crash
from keeper.devnet.live import LiveMarket
from keeper.devnet.morpho import LocalMorpho
from keeper.devnet.sender import Sender
from keeper.devnet.stage_morpho_blue import morpho_file
from keeper.devnet.stage_venus import venus_file
from keeper.devnet.stages import DeploymentFile
from keeper.devnet.venus_actions import allow_liquidations
from keeper.devnet.venus_markets import NATIVE
from keeper.evm.words import int_at
from keeper.ledger.books import read_books
from keeper.protocols.compound_v2.case import KEY_SEPARATOR
from tests.support.market_node import MarketNode, built_market
from tests.support.morpho_scene import morpho_node
from tests.support.one_block import Sending, by_the_executor
from tests.support.others import (
    Onlooker,
    Worth,
    ask_at,
    growth,
    onlooker,
    require_place,
    require_split,
)
from tests.support.plain_fork import plain_fork
from tests.support.venus_scene import VenusNode, built_venus, copied_venus

PRICES = Artifact(
    name="oracle",
    abi=[
        {
            "type": "function",
            "name": "getUnderlyingPrice",
            "inputs": [{"type": "address"}],
            "outputs": [{"type": "uint256"}],
        }
    ],
    bytecode="",
    links={},
)


@pytest.fixture(scope="module")
def bare_market(anvil_binary: Path) -> Iterator[MarketNode]:
    with built_market(anvil_binary, seed=1, borrowers=0) as node:
        yield node


def fall(live: LiveMarket, steps: int) -> None:
    for step in crash(live):
        if step.number == steps:
            return


def supplier_of(live: LiveMarket) -> Sender:
    return Sender.of(live.rpc, live.market.accounts.supplier)


def token_of(live: LiveMarket, asset: Address) -> Contract:
    return next(one for one in live.tokens.values() if one.address == asset)


# --- Morpho Blue ------------------------------------------------------------------------------


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


# --- Compound V2's family ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A deployment of the family, as contracts to ask."""

    live: LiveMarket
    ours: Onlooker
    oracle: Contract
    markets: Mapping[str, Contract]
    """cTokens by name."""
    through: Contract | None = None
    """Venus's Liquidator."""
    vai: Contract | None = None

    def token(self, asset: Address) -> Contract:
        """Return an asset's contract."""
        if self.vai is not None and asset == self.vai.address:
            return self.vai
        return next(one for one in self.live.tokens.values() if one.address == asset)

    def market(self, address: str) -> Contract:
        """Return a cToken."""
        return next(one for one in self.markets.values() if one.address == address)

    def worth(self, asset: Address, market: str, block: int) -> Worth:
        """Return what an asset is worth to the oracle, 1e18 dollars a whole one; VAI is one."""
        ether = self.markets["WETH"].address
        prices = [
            ask_at(self.live, block, self.oracle, "getUnderlyingPrice", one)
            for one in (ether, market)
            if self.vai is None or asset != self.vai.address or one == ether
        ]
        if len(prices) == 1:
            return Worth(price=WAD, unit=WAD, native=prices[0])
        decimals = {one.token: one.decimals for one in self.live.market.assets}
        unit = 10 ** decimals[asset]
        return Worth(price=prices[1] * unit // WAD, unit=unit, native=prices[0])

    def chosen(self) -> Iterator[tuple[AccountRef, Option]]:
        """Yield one way for each account, not always the same, none that pays in native coin."""
        ways: dict[AccountRef, list[Option]] = {}
        for ref, option in self.ours.options():
            if not option.key.endswith(self.markets[NATIVE].address):
                ways.setdefault(ref, []).append(option)
        for number, (ref, options) in enumerate(ways.items()):
            yield ref, options[-1 - number % len(options)]


def keeps(family: Family, ref: AccountRef, option: Option) -> Any:
    """Let the supplier liquidate by itself and keep the cTokens; return the receipt."""
    supplier = supplier_of(family.live)
    collateral, debt = option.key.split(KEY_SEPARATOR)
    order = (ref.account, option.max_repay, collateral)
    if family.through is not None:
        supplier.call(family.through, "liquidateBorrow", debt, *order)
    else:
        supplier.call(family.market(debt), "liquidateBorrow", *order)
    return supplier.mine()[0]


def redeems(family: Family, ref: AccountRef, option: Option, sending: Sending) -> Any:
    """Let somebody's contract liquidate and redeem in one transaction; return the receipt."""
    adapter, view = family.ours.deployment.adapter, family.ours.view()
    position = family.ours.deployment.mirror.snapshot.positions[ref]
    quote = adapter.seize(view, position, option, option.max_repay)
    transaction = sending(view, ref, option, quote)
    operator = Sender.of(family.live.rpc, transaction.sender)
    operator.add("liquidate", to=transaction.to, data=transaction.data)
    return operator.mine()[0]


async def all_taken(family: Family, most: int) -> Counter[str]:
    """Let others liquidate so many accounts, every second one redeemed; hold each note."""
    adapter, live, seen = family.ours.deployment.adapter, family.live, Counter[str]()
    others = () if family.vai is None else (family.vai,)
    sending = by_the_executor(adapter, live, *others)
    await family.ours.look()
    for number, (ref, option) in enumerate(list(family.chosen())[:most]):
        redeemed = number % 2 == 1
        made = redeems(family, ref, option, sending) if redeemed else keeps(family, ref, option)
        if number % 4 == 0:
            grow_on(family, option)
        found = (await family.ours.look())[-1]
        assert (found.ref, found.cause) == (ref, Cause.LATE)
        require_place(found, made)
        require_amounts(family, found, option, redeemed=redeemed)
        seen["redeemed" if redeemed else "kept"] += 1
        seen["with a fee"] += bool(found.protocol_fee)
        seen["VAI"] += found.debt.symbol == "VAI"
    return seen


def grow_on(family: Family, option: Option, blocks: int = 5) -> None:
    """Let the collateral's cTokens be worth more before our next look."""
    family.live.rpc.call("anvil_mine", hex(blocks), hex(12))
    supplier = supplier_of(family.live)
    supplier.call(family.market(option.key.split(KEY_SEPARATOR)[0]), "accrueInterest")
    supplier.mine()


def require_amounts(family: Family, found: Taken, option: Option, *, redeemed: bool) -> None:
    """Hold a note against the balances before and after its block, and the oracle's prices."""
    live, block, who = family.live, found.block, family.live.market.accounts
    tokens = [Address(one) for one in option.key.split(KEY_SEPARATOR)]
    spoils = family.market(tokens[0])
    lost = -growth(live, block, spoils, found.ref.account)
    if redeemed:
        asset = family.token(option.collateral)
        parties = (found.liquidator, who.recipient)
        received = sum(growth(live, block, asset, one) for one in parties)
        rate = ask_at(live, block, spoils, "exchangeRateStored")
        assert abs(found.seized - lost * rate // WAD) <= 1
    else:
        assert found.liquidator == who.supplier
        gained = growth(live, block, spoils, who.supplier)
        received = gained * ask_at(live, block, spoils, "exchangeRateStored") // WAD
        assert found.seized == lost * received // gained
    assert found.repaid == -growth(live, block, family.token(option.debt), who.supplier)
    collateral, debt = (
        family.worth(asset, token, block)
        for asset, token in zip((option.collateral, option.debt), tokens, strict=True)
    )
    require_split(found, collateral, debt)
    assert found.bonus == collateral.wei(received) - debt.wei(found.repaid)


@pytest.fixture(scope="module")
def venus(anvil_binary: Path) -> Iterator[VenusNode]:
    with built_venus(anvil_binary) as node:
        allow_liquidations(node.live, supplier_of(node.live.live))
        fall(node.live.live, 8)
        yield node


def family_of(node: VenusNode, ours: Onlooker) -> Family:
    return Family(
        live=node.live.live,
        ours=ours,
        oracle=Contract(artifact=PRICES, address=node.venus.oracle),
        markets=node.live.markets,
        through=node.live.liquidator,
        vai=node.live.vai,
    )


def watching(node: VenusNode, folder: Path) -> AbstractAsyncContextManager[Onlooker]:
    file = venus_file(node.market, node.venus)
    return onlooker(folder, node.live.live, node.anvil.http_url, file)


async def test_venus_through_its_liquidator(
    anvil_binary: Path, venus: VenusNode, tmp_path: Path
) -> None:
    with copied_venus(anvil_binary, venus) as node:
        async with watching(node, tmp_path) as ours:
            seen = await all_taken(family_of(node, ours), most=8)
    assert seen["with a fee"] == 8
    assert seen["VAI"] > 0


@pytest.mark.parametrize("kept_blocks", [1_000, 20])
async def test_what_was_taken_while_we_were_down_is_noted_at_the_start(
    anvil_binary: Path, venus: VenusNode, tmp_path: Path, kept_blocks: int
) -> None:
    """Where the node has no state of the block any more, what was in it is not known."""
    options = AnvilOptions(extra=("--prune-history", str(kept_blocks)))
    with copied_venus(anvil_binary, venus, options) as node:
        async with watching(node, tmp_path) as ours:
            family = family_of(node, ours)
            sending = by_the_executor(ours.deployment.adapter, node.live.live, node.live.vai)
            await ours.look()
            await ours.deployment.checkpoint()
            chosen = list(family.chosen())[:5]
            made = [redeems(family, *chosen[0], sending)]
            made += [keeps(family, ref, option) for ref, option in chosen[1:]]
            assert ours.heard.takens == []
        grow_on(family, chosen[0][1], blocks=30)
        for _ in range(2):
            async with watching(node, tmp_path) as ours:
                await ours.look()
                found = list(read_books(ours.database).taken)
                assert [(one.ref, one.cause) for one in found] == [
                    (ref, Cause.DOWN) for ref, _ in chosen
                ]
        for number, (one, receipt, (_, option)) in enumerate(zip(found, made, chosen, strict=True)):
            require_place(one, receipt)
            if kept_blocks > 100:
                require_amounts(family, one, option, redeemed=not number)
            else:
                assert (one.penalty, one.protocol_fee, one.bonus) == (None, None, None)
                assert one.repaid == option.max_repay


async def test_a_plain_fork_without_a_liquidator(
    anvil_binary: Path, bare_market: MarketNode, tmp_path: Path
) -> None:
    with plain_fork(anvil_binary, bare_market) as fork:
        live = fork.node.live
        approve_all(live, fork.markets.values())
        root = {"comptroller": fork.comptroller.address, "wrapped_native": live.market.weth}
        file = DeploymentFile(protocol="compound_v2", start_block=fork.start_block, parameters=root)
        async with onlooker(tmp_path, live, fork.node.anvil.http_url, file) as ours:
            oracle = ask_at(live, fork.start_block + 3, fork.comptroller, "oracle")
            family = Family(
                live=live,
                ours=ours,
                oracle=Contract(artifact=PRICES, address=oracle),
                markets=fork.markets,
            )
            seen = await all_taken(family, most=4)
    assert (seen["kept"], seen["redeemed"], seen["with a fee"]) == (2, 2, 0)


def approve_all(live: LiveMarket, spenders: Iterable[Contract]) -> None:
    """Let every market take the supplier's tokens."""
    supplier = supplier_of(live)
    for spender in spenders:
        for token in live.tokens.values():
            supplier.call(token, "approve", spender.address, MAX_UINT256)
    supplier.mine()

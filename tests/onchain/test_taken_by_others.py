"""What others liquidate in Compound V2's family, in the books to the wei of what moved."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
from keeper.devnet.live import LiveMarket
from keeper.devnet.sender import Sender
from keeper.devnet.stage_venus import venus_file
from keeper.devnet.stages import DeploymentFile
from keeper.devnet.venus_actions import allow_liquidations
from keeper.devnet.venus_markets import NATIVE
from keeper.ledger.books import read_books
from keeper.protocols.compound_v2.case import KEY_SEPARATOR
from tests.support.market_node import MarketNode, built_market
from tests.support.one_block import Sending, by_the_executor
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

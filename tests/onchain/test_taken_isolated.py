"""What others liquidate in Venus's isolated pools, in the books to the wei of what moved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keeper.core.taken import Cause, Taken
from keeper.core.units import WAD, Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.contract import Contract
from keeper.devnet.crash import crash
from keeper.devnet.isolated import POOLS, MadePool
from keeper.devnet.isolated_borrowers import Loan, open_loans
from keeper.devnet.isolated_market import LivePool
from keeper.devnet.sender import Sender
from keeper.devnet.stage_venus_isolated import isolated_file
from keeper.protocols.venus_isolated.case import KEY_SEPARATOR, Way
from keeper.protocols.venus_isolated.health import debt_of
from tests.support.isolated_scene import IsolatedNode, built_isolated
from tests.support.one_block import by_the_executor
from tests.support.others import Worth, ask_at, growth, onlooker, require_place

HALVES: Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]] = {
    "both of both": ({"WETH": 60, "WBTC": 30}, {"USDC": 33, "DAI": 33}),
    "two debts": ({"WETH": 90}, {"USDC": 34, "DAI": 34}),
    "two collaterals": ({"WETH": 60, "WBTC": 30}, {"USDC": 66}),
    "covered": ({"WETH": 60, "WBTC": 30}, {"USDC": 30, "DAI": 29}),
}
"""Small accounts, dollars of collateral and of debt before the crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """The pools in a crash, and the small accounts."""

    node: IsolatedNode
    small: Mapping[str, Address]

    @property
    def pool(self) -> LivePool:
        return self.node.live.pools[0]

    @property
    def supplier(self) -> Sender:
        live = self.node.live.live
        return Sender.of(live.rpc, live.market.accounts.supplier)

    def worth(self, name: str, block: int) -> Worth:
        """Return what an asset of the pool is worth to its oracle, 1e18 dollars a whole one."""
        oracle = self.node.isolated.shared.oracles.resilient
        price, native = (
            ask_at(self.node.live.live, block, oracle, "getUnderlyingPrice", market.address)
            for market in (self.pool.markets[name], self.pool.markets["WETH"])
        )
        unit = 10 ** ASSETS[name].decimals
        return Worth(price=price * unit // WAD, unit=unit, native=native)


@pytest.fixture(scope="module")
def built(anvil_binary: Path) -> Iterator[Fallen]:
    with built_isolated(anvil_binary, by_second=False) as node:
        small = {name: Address(f"0x{0xB0330000 + n:040x}") for n, name in enumerate(HALVES)}
        live, pool = node.live.live, node.live.pools[0]
        loans = [
            Loan(account=small[name], collateral=raw(collateral), debt=raw(debt))
            for name, (collateral, debt) in HALVES.items()
        ]
        made = MadePool(spec=POOLS[0], comptroller=pool.comptroller, markets=pool.markets)
        open_loans(Sender.of(live.rpc, live.market.accounts.supplier), live, made, loans)
        for _ in crash(live):
            pass
        yield Fallen(node=node, small=small)


@pytest.fixture
def fallen(built: Fallen) -> Iterator[Fallen]:
    """The fallen pools; what a test does to them is undone."""
    rpc = built.node.live.live.rpc
    mark = rpc.call("evm_snapshot")
    yield built
    rpc.call("evm_revert", mark)


def raw(dollars: Mapping[str, int]) -> dict[str, int]:
    return {
        n: one * 10 ** (8 + ASSETS[n].decimals) // ASSETS[n].price for n, one in dollars.items()
    }


async def test_a_part_of_a_debt_redeemed_or_kept(fallen: Fallen, tmp_path: Path) -> None:
    live = fallen.node.live.live
    url, file = fallen.node.anvil.http_url, isolated_file(fallen.node.isolated)
    async with onlooker(tmp_path, live, url, file) as ours:
        adapter = ours.deployment.adapter
        sending = by_the_executor(adapter, live)
        await ours.look()
        ways = {
            ref: (option, option.key.split(KEY_SEPARATOR)[1:])
            for ref, option in ours.options()
            if option.key.startswith(Way.BORROW) and ref.market == fallen.pool.pool.comptroller
        }
        for number, (ref, (option, (collateral, debt))) in enumerate(list(ways.items())[:8]):
            await ours.look()
            if number % 2:
                view = ours.view()
                position = ours.deployment.mirror.snapshot.positions[ref]
                quote = adapter.seize(view, position, option, option.max_repay)
                sent = sending(view, ref, option, quote)
                sender = Sender.of(live.rpc, sent.sender)
                sender.add("liquidate", to=sent.to, data=sent.data)
            else:
                sender = fallen.supplier
                order = (ref.account, option.max_repay, collateral)
                sender.call(market_of(fallen, debt), "liquidateBorrow", *order)
            (receipt,) = sender.mine()
            found = (await ours.look())[-1]
            assert (found.ref, found.cause) == (ref, Cause.LATE)
            require_place(found, receipt)
            require_sums(fallen, [found], redeemed=bool(number % 2))
    assert len(ways) >= 8


def market_of(fallen: Fallen, address: str) -> Contract:
    return next(one for one in fallen.pool.markets.values() if one.address == address)


def require_sums(fallen: Fallen, found: Sequence[Taken], *, redeemed: bool = False) -> None:
    """Hold the notes of a transaction against balances, asset by asset, and the oracle's prices.

    Each note rounds for itself: of several notes the bonus may be a wei less for each.
    """
    live, block = fallen.node.live.live, found[0].block
    account, liquidator = found[0].ref.account, found[0].liquidator
    purse, bonus = fallen.supplier.account, 0
    for name in {one.collateral.symbol for one in found}:
        market, asset = fallen.pool.markets[name], live.tokens[name]
        rate = ask_at(live, block, market, "exchangeRateStored")
        if redeemed:
            parties = (liquidator, live.market.accounts.recipient)
            received = sum(growth(live, block, asset, one) for one in parties)
        else:
            received = growth(live, block, market, liquidator) * rate // WAD
        lost = -growth(live, block, market, account) * rate // WAD
        seized = sum(one.seized for one in found if one.collateral.symbol == name)
        assert abs(seized - lost) <= 2
        assert received < seized
        bonus += fallen.worth(name, block).wei(received)
    for name in {one.debt.symbol for one in found}:
        repaid = -growth(live, block, live.tokens[name], purse)
        assert repaid == sum(one.repaid for one in found if one.debt.symbol == name)
        bonus -= fallen.worth(name, block).wei(repaid)
    assert abs(sum(one.bonus or 0 for one in found) - bonus) < len(found)


@pytest.mark.parametrize("name", [one for one in HALVES if one != "covered"])
async def test_a_healed_account_counts_whole(fallen: Fallen, tmp_path: Path, name: str) -> None:
    """Healing repays less than the collateral is worth without its incentive: all of it counts."""
    url, file = fallen.node.anvil.http_url, isolated_file(fallen.node.isolated)
    async with onlooker(tmp_path, fallen.node.live.live, url, file) as ours:
        supplier, account = fallen.supplier, fallen.small[name]
        supplier.call(fallen.pool.comptroller, "healAccount", account)
        (receipt,) = supplier.mine()
        found = await ours.look()
    require_whole(fallen, found, receipt, name)


def require_whole(fallen: Fallen, found: Sequence[Taken], receipt: Any, name: str) -> None:
    collateral, debt = HALVES[name]
    assert {one.ref.account for one in found} == {fallen.small[name]}
    assert {one.collateral.symbol for one in found if one.seized} == set(collateral)
    assert {one.debt.symbol for one in found if one.repaid} == set(debt)
    cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert sum(one.gas for one in found) == cost
    require_sums(fallen, found)


async def test_a_covered_account_taken_by_several_orders_counts_whole(
    fallen: Fallen, tmp_path: Path
) -> None:
    live = fallen.node.live.live
    url, file = fallen.node.anvil.http_url, isolated_file(fallen.node.isolated)
    async with onlooker(tmp_path, live, url, file) as ours:
        supplier, account, tokens = fallen.supplier, fallen.small["covered"], fallen.pool.markets
        snapshot, view = ours.deployment.mirror.snapshot, ours.view()
        (position,) = [p for ref, p in snapshot.positions.items() if ref.account == account]
        owed = {view.markets[o.market].symbol: debt_of(view, o) for o in position.entries}
        part = owed["DAI"] * 3 // 4
        orders = (
            (tokens["WETH"].address, tokens["USDC"].address, owed["USDC"]),
            (tokens["WBTC"].address, tokens["DAI"].address, part),
            (tokens["WETH"].address, tokens["DAI"].address, owed["DAI"] - part),
        )
        supplier.call(fallen.pool.comptroller, "liquidateAccount", account, orders)
        (receipt,) = supplier.mine()
        found = await ours.look()
    assert [(one.collateral.symbol, one.debt.symbol) for one in found] == [
        ("WETH", "USDC"),
        ("WBTC", "DAI"),
        ("WETH", "DAI"),
    ]
    require_whole(fallen, found, receipt, "covered")

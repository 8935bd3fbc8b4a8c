"""Compound V2 itself, to the wei: what neither Venus nor its first release has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.core.lending import AccountRef, Option, SeizeQuote
from keeper.core.units import WAD, Address
from keeper.devnet.contract import Contract
from keeper.devnet.sender import Sender, read
from keeper.protocols.compound_v2.health import debt_of
from keeper.protocols.compound_v2.refusals import MarketRefusedError, Refusal
from tests.onchain.test_plain_fork import (
    allow_all,
    govern,
    live,
    options_of,
    require_followed,
    watched,
)
from tests.support.compound_fork import SEIZE_SHARE, compound_fork
from tests.support.market_node import MarketNode
from tests.support.plain_fork import INCENTIVE, LOANS, PlainFork
from tests.support.venus_scene import differences, judge, liquidate_call


@pytest.fixture(scope="module")
def built(anvil_binary: Path, local_market: MarketNode) -> Iterator[PlainFork]:
    with compound_fork(anvil_binary, local_market) as fork:
        yield fork


@pytest.fixture
def fork(built: PlainFork) -> Iterator[PlainFork]:
    """Compound; what a test does to it is undone."""
    mark = built.node.live.rpc.call("evm_snapshot")
    yield built
    built.node.live.rpc.call("evm_revert", mark)


async def test_it_is_read_as_what_it_is(fork: PlainFork):
    async with watched(fork) as watch:
        market = (await watch.look()).market
    assert (market.liquidator, market.vai, market.pools) == (None, None, {})
    assert not market.by_second
    assert market.seizes_unentered
    for one in market.markets:
        (risk,) = one.risks.values()
        assert (risk.incentive, one.seize_share) == (INCENTIVE, SEIZE_SHARE)
        assert one.cash_is_balance
    assert [one.native for one in market.markets].count(True) == 1


async def test_every_account_is_as_short_as_the_comptroller_says(fork: PlainFork):
    await require_followed(fork)


async def test_a_market_keeps_its_share_of_what_is_seized(fork: PlainFork):
    allow_all(fork)
    async with watched(fork) as watch:
        look = await watch.look()
        options = options_of(watch, look)
        for ref, option in options:
            for repay in (option.max_repay, option.max_repay // 3):
                quote = await judge(watch, look, ref, option, repay)
                assert isinstance(quote, SeizeQuote)
                kept = quote.protocol_fee * WAD // quote.seized
                assert abs(kept - SEIZE_SHARE) < WAD // 10**6
    assert len(options) == len(LOANS) - 1


async def test_refusals_are_soft_and_foreseen(fork: PlainFork):
    allow_all(fork)
    async with watched(fork) as watch:
        look = await watch.look()
        ref, option = options_of(watch, look)[0]
        for repay, expected in (
            (option.max_repay + 2, Refusal.TOO_MUCH_REPAY),
            (0, Refusal.NO_AMOUNT),
        ):
            assert await judge(watch, look, ref, option, repay) is expected
        healthy, key = healthy_pair(fork, ref)
        assert await judge(watch, look, healthy, key, 10**6) is Refusal.HEALTHY


def healthy_pair(fork: PlainFork, like: AccountRef) -> tuple[AccountRef, Option]:
    """Return whoever has dollars and owes ether, and gained by the fall."""
    account = fork.borrowers[LOANS.index(("USDC", "WETH"))]
    key = ":".join(fork.markets[one].address for one in ("USDC", "WETH"))
    usdc, weth = fork.node.market.asset("USDC").token, fork.node.market.weth
    option = Option(collateral=usdc, debt=weth, max_repay=1, key=key)
    return AccountRef(market=like.market, account=account), option


DEPRECATING = ("_setCollateralFactor", "_setBorrowPaused", "_setReserveFactor")


@pytest.mark.parametrize("last", DEPRECATING)
async def test_a_deprecated_market_is_liquidated_in_full_and_in_health(fork: PlainFork, last: str):
    """Whatever of the three that make it deprecated comes last."""
    allow_all(fork)
    weth = fork.markets["WETH"]
    ways = {
        "_setCollateralFactor": (fork.comptroller, weth.address, 0),
        "_setBorrowPaused": (fork.comptroller, weth.address, True),
        "_setReserveFactor": (weth, WAD),
    }
    async with watched(fork) as watch:
        before = await watch.look()
        ref, pair = healthy_pair(fork, next(iter(before.positions)))
        assert not watch.adapter.assess(
            watch.view(before, ahead=1), before.positions[ref]
        ).liquidatable
        look = before
        for function in (*(one for one in DEPRECATING if one != last), last):
            contract, *arguments = ways[function]
            govern(fork, contract, function, *arguments)
            look = await watch.follow(look)
        view = watch.view(look, ahead=1)
        assert watch.adapter.assess(view, look.positions[ref]).liquidatable
        (option,) = watch.adapter.options(view, look.positions[ref])
        (entry,) = [one for one in look.positions[ref].entries if one.principal]
        assert option.key == pair.key
        assert option.max_repay == debt_of(view, entry)
        assert isinstance(await judge(watch, look, ref, option, option.max_repay), SeizeQuote)
        more = liquidate_call(view, ref, *map(Address, pair.key.split(":")), option.max_repay + 1)
        (done,) = await watch.run(look, more)
        assert not done.success
        assert b"Can not repay more than the total borrow" in done.return_data


async def test_a_pause_of_all_seizures_is_foreseen(fork: PlainFork):
    allow_all(fork)
    async with watched(fork) as watch:
        before = await watch.look()
        ref, option = options_of(watch, before)[0]
        govern(fork, fork.comptroller, "_setSeizePaused", True)
        look = await watch.follow(before)
        assert options_of(watch, look) == []
        view, pair = watch.view(look, ahead=1), map(Address, option.key.split(":"))
        with pytest.raises(MarketRefusedError, match="is paused"):
            watch.adapter.seize(view, look.positions[ref], option, option.max_repay)
        (done,) = await watch.run(look, liquidate_call(view, ref, *pair, option.max_repay))
        assert not done.success
        assert b"seize is paused" in done.return_data


async def test_a_comptroller_of_before_rounds_half_up(anvil_binary: Path, local_market: MarketNode):
    with compound_fork(anvil_binary, local_market, "ComptrollerG5") as fork:
        allow_all(fork)
        live(fork)
        async with watched(fork) as watch:
            assert await differences(watch, await watch.look()) != []
        async with watched(fork, half_up=True) as watch:
            look = await watch.look()
            assert await differences(watch, look) == []
            options = options_of(watch, look)
            for ref, option in options:
                done = await judge(watch, look, ref, option, option.max_repay)
                assert isinstance(done, SeizeQuote)
    assert len(options) == len(LOANS) - 1


async def test_markets_by_the_second_are_reckoned_by_the_second(
    anvil_binary: Path, local_market: MarketNode
):
    with compound_fork(anvil_binary, local_market, by_second=True) as fork:
        allow_all(fork)
        live(fork)
        async with watched(fork) as watch:
            look = await watch.look()
            assert look.market.by_second
            assert await differences(watch, look) == []
            for one in look.market.markets:
                assert one.accrued_at > look.block.timestamp - 3_600
            options = options_of(watch, look)
            for ref, option in options:
                done = await judge(watch, look, ref, option, option.max_repay)
                assert isinstance(done, SeizeQuote)
    assert len(options) == len(LOANS) - 1


async def test_what_backs_nothing_may_be_seized_as_well(fork: PlainFork):
    """Compound's ``seizeAllowed`` does not ask whether the borrower entered the market."""
    allow_all(fork)
    async with watched(fork) as watch:
        before = await watch.look()
        ref, option = options_of(watch, before)[0]
        _, debt = option.key.split(":")
        aside = next(one for one in fork.markets.values() if one.address not in option.key)
        give(fork, aside, ref.account)
        look = await watch.follow(before)
        assert await differences(watch, look) == []
        assert look.positions == (await watch.look(look.positions)).positions
        found = {
            one.key: one for other, one in options_of(watch, look) if other.account == ref.account
        }
        assert set(found) == {option.key, f"{aside.address}:{debt}"}
        pair = found[f"{aside.address}:{debt}"]
        for repay in (pair.max_repay, pair.max_repay // 3):
            assert isinstance(await judge(watch, look, ref, pair, repay), SeizeQuote)
        assert pair.max_repay < option.max_repay  # it has no more of it than that


def give(fork: PlainFork, market: Contract, account: Address) -> None:
    """Give an account cTokens of a market that it did not enter."""
    supplier = Sender.of(fork.node.live.rpc, fork.node.market.accounts.supplier)
    held = read(fork.node.live.rpc, market, "balanceOf", supplier.account)
    supplier.call(market, "transfer", account, held // 1_000)
    supplier.mine()

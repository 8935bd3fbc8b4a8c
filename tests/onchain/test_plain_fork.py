"""A plain fork of Compound V2, to the wei: what Venus added since is not there, and not missed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keeper.chain.session import ChainOptions, open_chain
from keeper.core.lending import AccountRef, Option, SeizeQuote
from keeper.core.units import Address
from keeper.devnet.contract import Contract
from keeper.devnet.sender import Sender
from keeper.protocols.compound_v2.adapter import CompoundAdapter
from keeper.protocols.compound_v2.refusals import FAILURES, Refusal
from keeper.protocols.compound_v2.state import CORE_POOL
from keeper.protocols.registry import adapter_for
from tests.support.market_node import MarketNode
from tests.support.plain_fork import (
    INCENTIVE,
    LOANS,
    PlainFork,
    deploy_lens,
    plain_artifacts,
    plain_fork,
)
from tests.support.venus_scene import (
    Look,
    Watch,
    differences,
    failures,
    judge,
    liquidate_call,
)


@pytest.fixture(scope="module")
def built(anvil_binary: Path, local_market: MarketNode) -> Iterator[PlainFork]:
    with plain_fork(anvil_binary, local_market) as fork:
        yield fork


@pytest.fixture
def fork(built: PlainFork) -> Iterator[PlainFork]:
    """The built fork; what a test does to it is undone."""
    mark = built.node.live.rpc.call("evm_snapshot")
    yield built
    built.node.live.rpc.call("evm_revert", mark)


@asynccontextmanager
async def watched(fork: PlainFork, *, half_up: bool = False) -> AsyncIterator[Watch]:
    market = fork.node.market
    adapter = adapter_for(
        "compound_v2",
        deployment="compound_v2.local",
        start_block=fork.start_block,
        parameters={
            "comptroller": fork.comptroller.address,
            "wrapped_native": market.weth,
            "half_up": half_up,
        },
    )
    assert isinstance(adapter, CompoundAdapter)
    options = ChainOptions(chain_id=market.chain_id, multicall3=market.multicall3)
    async with open_chain(fork.node.anvil.http_url, options) as chain:
        yield Watch(chain=chain, adapter=adapter, supplier=market.accounts.supplier)


def govern(fork: PlainFork, contract: Contract, function: str, *arguments: object) -> None:
    owner = Sender.of(fork.node.live.rpc, fork.node.market.accounts.deployer)
    owner.call(contract, function, *arguments)
    owner.mine()


def allow_all(fork: PlainFork) -> None:
    """Let every market take the liquidator's tokens."""
    supplier = Sender.of(fork.node.live.rpc, fork.node.market.accounts.supplier)
    for market in fork.markets.values():
        for token in fork.node.live.tokens.values():
            supplier.call(token, "approve", market.address, 2**256 - 1)
    supplier.mine()


def options_of(watch: Watch, look: Look) -> list[tuple[AccountRef, Option]]:
    view = watch.view(look, ahead=1)
    return [
        (ref, option)
        for ref, position in sorted(look.positions.items())
        for option in watch.adapter.options(view, position)
    ]


async def test_it_is_read_as_what_it_is(fork: PlainFork):
    async with watched(fork) as watch:
        market = (await watch.look()).market
    assert (market.liquidator, market.vai, market.pools) == (None, None, {})
    assert not market.by_second
    assert not market.seizes_unentered
    assert {one.token for one in market.markets} == {m.address for m in fork.markets.values()}
    for one in market.markets:
        (risk,) = one.risks.values()
        assert (risk.incentive, one.seize_share) == (INCENTIVE, 0)
        assert one.cash_is_balance != one.native
    assert [one.native for one in market.markets].count(True) == 1


async def test_every_account_is_as_short_as_the_comptroller_says(fork: PlainFork):
    await require_followed(fork)


async def require_followed(fork: PlainFork) -> None:
    """Hold every account to the Comptroller, and what is followed to what is read anew."""
    async with watched(fork) as watch:
        look = await watch.look()
        assert {ref.account for ref in look.positions} >= set(fork.borrowers)
        assert await differences(watch, look) == []
        live(fork)
        followed = await watch.follow(look)
        cold = await watch.look(followed.positions)
        assert followed.market == cold.market
        assert followed.positions == cold.positions
        assert await differences(watch, cold) == []


def live(fork: PlainFork) -> None:
    """Let accounts repay a little, with blocks in between."""
    rpc = fork.node.live.rpc
    for number, (account, (_, debt)) in enumerate(zip(fork.borrowers, LOANS, strict=True)):
        rpc.call("anvil_mine", hex(7 + number), hex(12))
        borrower, market = Sender.of(rpc, account), fork.markets[debt]
        borrower.call(fork.node.live.tokens[debt], "approve", market.address, 2**256 - 1)
        borrower.call(market, "repayBorrow", 10**6 + number)
        borrower.mine()


async def test_every_option_liquidates_as_quoted(fork: PlainFork):
    allow_all(fork)
    async with watched(fork) as watch:
        look = await watch.look()
        seen = set()
        for ref, option in options_of(watch, look):
            for repay in (option.max_repay, option.max_repay // 3):
                quote = await judge(watch, look, ref, option, repay)
                assert isinstance(quote, SeizeQuote)
                assert quote.protocol_fee == 0
            seen.add(option.key)
    assert len(seen) == len(LOANS) - 1
    assert any(key.startswith(fork.markets["ETH"].address) for key in seen)


async def test_refusals_are_soft_and_foreseen(fork: PlainFork):
    allow_all(fork)
    async with watched(fork) as watch:
        look = await watch.look()
        ref, option = options_of(watch, look)[0]
        verdict = await judge(watch, look, ref, option, option.max_repay + 2)
        assert verdict is Refusal.TOO_MUCH_REPAY
        # Whoever has dollars and owes ether gained by the fall.
        number = LOANS.index(("USDC", "WETH"))
        healthy = AccountRef(market=ref.market, account=fork.borrowers[number])
        pair = (fork.markets["USDC"].address, fork.markets["WETH"].address)
        key = Option(
            collateral=fork.node.market.asset("USDC").token,
            debt=fork.node.market.weth,
            max_repay=1,
            key=":".join(pair),
        )
        assert await judge(watch, look, healthy, key, 10**6) is Refusal.HEALTHY
        view = watch.view(look, ahead=1)
        call = liquidate_call(view, healthy, Address(pair[0]), Address(pair[1]), 10**6)
        (done,) = await watch.run(look, call)
        assert done.success
        assert failures(done.logs) == [FAILURES[Refusal.HEALTHY]]
        assert watch.adapter.decode(view, done.logs) == ()


async def test_a_comptroller_that_rounds_half_up_is_followed_in_that(fork: PlainFork):
    """Its figures differ by that alone: taken for a truncating one, some accounts are another."""
    allow_all(fork)
    owner = Sender.of(fork.node.live.rpc, fork.node.market.accounts.deployer)
    deploy_lens(owner, plain_artifacts()["PlainLens"], fork.comptroller, half_up=True)
    owner.mine()
    async with watched(fork) as watch:
        assert await differences(watch, await watch.look()) != []
    async with watched(fork, half_up=True) as watch:
        look = await watch.look()
        assert await differences(watch, look) == []
        for ref, option in options_of(watch, look):
            assert isinstance(await judge(watch, look, ref, option, option.max_repay), SeizeQuote)


async def test_a_collateral_factor_that_changes_is_followed(fork: PlainFork):
    weth = fork.markets["WETH"].address
    async with watched(fork) as watch:
        look = await watch.look()
        govern(fork, fork.comptroller, "_setCollateralFactor", weth, 6 * 10**17)
        followed = await watch.follow(look)
        (changed,) = [one for one in followed.market.markets if one.token == weth]
        assert changed.risks[CORE_POOL].threshold == 6 * 10**17
        assert await differences(watch, followed) == []

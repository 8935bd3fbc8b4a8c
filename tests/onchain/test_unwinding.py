"""Vault shares and aTokens are redeemed for exactly what was forecast.

The aTokens and their pool are Aave's of two releases, the vaults OpenZeppelin's, Aave's and
MetaMorpho, Morpho is Morpho.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.core.lending import Option, Reason, SeizeQuote
from keeper.core.plan import LoanKind, Plan
from keeper.core.values import replace
from keeper.devnet.prices import held_mining
from keeper.devnet.sender import read
from keeper.executor.rehearse import rehearse
from keeper.planner.case import Case
from keeper.venues.flash_loans import AaveV3FlashSource
from keeper.venues.unwinding.erc4626 import VaultBook
from tests.support.executor_stage import RECIPIENT
from tests.support.gas_record import on_record
from tests.support.market_node import MarketNode
from tests.support.pledged_shares import Pledged
from tests.support.unwinding_scene import (
    ATOKENS,
    RELEASES,
    VAULTS,
    ground_of,
    look,
    opened,
    rehearsed,
    seen,
    undone,
)

RECORDED = "3.0"
"""The release of Aave whose gas is on record."""
UNSIGNED_BYTES = 60
"""Of a transaction, besides its data and signature."""


@pytest.fixture(scope="module", params=RELEASES)
def built(
    anvil_binary: Path, request: pytest.FixtureRequest, local_market: MarketNode
) -> Iterator[Pledged]:
    with ground_of(request.param, anvil_binary, local_market) as made:
        yield made


@pytest.fixture
def ground(built: Pledged) -> Iterator[Pledged]:
    with undone(built) as made:
        yield made


def without_gas(plan: Plan) -> tuple[int, ...]:
    """Return the waterfall but for the gas, which is an estimate until the rehearsal."""
    split = plan.forecast
    costs = (split.protocol_fee, split.swap_cost, split.flash_fee, split.tip)
    return (split.penalty, *costs, split.net + split.gas)


async def test_what_is_redeemed_comes_to_its_forecast_to_the_wei(ground: Pledged) -> None:
    async with seen(ground) as sight:
        for name in (*VAULTS, *ATOKENS):
            plan = sight.plan(name)
            (done,) = await rehearsed(sight, plan)
            assert without_gas(done) == without_gas(plan), name
            assert plan.unwound is not None
            assert plan.unwound.shares == plan.quote.received
            assert plan.forecast.net > 10**17, name


async def test_the_gas_and_the_size_of_redeeming_are_counted(ground: Pledged) -> None:
    async with seen(ground) as sight:
        for name in (*VAULTS, "lending", *ATOKENS):
            plan = sight.plan(name)
            (done,) = await rehearsed(sight, plan)
            estimate, used = (one.forecast.gas // sight.desk.gas_price for one in (plan, done))
            assert used * 85 // 100 < estimate < used * 145 // 100, (name, estimate, used)
            size = len(plan.transaction.data) + UNSIGNED_BYTES
            expected = sight.terms.gas.size(len(plan.route), unwinds=True)
            assert expected * 2 // 3 < size <= expected, (name, size, expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("bare", "morpho callback, one hop"),
        ("native", "morpho callback, vault shares, one hop"),
        ("aWETH", "morpho callback, aTokens, two hops"),
    ],
)
async def test_a_liquidation_of_morpho_takes_the_gas_on_record(
    ground: Pledged, name: str, shape: str
) -> None:
    async with seen(ground) as sight:
        (done,) = await rehearsed(sight, sight.plan(name))
        if ground.node.market.aave == RECORDED:
            on_record(shape, done.forecast.gas // sight.desk.gas_price)


async def test_the_loss_of_redeeming_is_in_the_swap_cost(ground: Pledged) -> None:
    """The same vault but for a fee of a hundredth: the penalty is the same, the swaps cost more."""
    async with seen(ground) as sight:
        free, taxed = sight.plan("plain"), sight.plan("fee")
        assert free.quote.received == taxed.quote.received
        assert free.forecast.penalty == taxed.forecast.penalty
        worth = free.valuation.wei_floor(free.option.collateral, free.quote.received)
        more = taxed.forecast.swap_cost - free.forecast.swap_cost
        assert worth * 98 // 10_000 < more < worth * 102 // 10_000


def with_loan(case: Case) -> Case:
    """Return the case as of a protocol that does not call back: Morpho without callback data.

    Nothing accrues in its market, so that no headroom is needed.
    """
    opportunity = case.opportunity
    options = tuple(replace(one, pays_later=False) for one in opportunity.options)

    def seize(option: Option, repay: int) -> SeizeQuote:
        return replace(case.seize(option, repay), headroom=0)

    return replace(case, opportunity=replace(opportunity, options=options), seize=seize)


@pytest.mark.parametrize("name", ["plain", "same", "for ether", "aWBTC"])
async def test_redeeming_goes_with_every_way_of_funding(ground: Pledged, name: str) -> None:
    async with seen(ground) as sight:
        case = with_loan(sight.cases[name])
        pool = ground.node.market.pool
        lender = AaveV3FlashSource(sight.chain.reader, pool=pool, executor=ground.executor.address)
        debts = {one.debt for one in case.opportunity.options}
        book = await lender.snapshot(debts, sight.block)
        plan = sight.planner.plan(case, replace(sight.desk, loans=(book,)))
        assert isinstance(plan, Plan), plan
        assert plan.funding.kind is LoanKind.FLASH_SIMPLE
        decoders = replace(sight.decoders(), flash_fee=lender.fee_paid)
        (done,), failed = await rehearse([plan], sight.chain.simulator, sight.stage(), decoders)
        assert not failed
        assert without_gas(done) == without_gas(plan)
        bought = sight.planner.plan(case, sight.desk)
        if name in ("plain", "aWBTC"):
            assert isinstance(bought, Plan), bought
            assert bought.funding.kind is LoanKind.BOUGHT_FIRST
            (done,) = await rehearsed(sight, bought)
            assert without_gas(done) == without_gas(bought)


@pytest.mark.parametrize(
    ("built", "name"),
    [("3.0", "lending"), ("3.6", "lending"), ("3.6", "static")],
    indirect=["built"],
)
async def test_a_vault_that_grows_by_the_second_gives_a_little_more_than_planned(
    ground: Pledged, name: str
) -> None:
    """MetaMorpho, and Aave's vault over its aTokens. The rehearsal has it to the wei."""
    weth = ground.live.tokens["WETH"]
    async with seen(ground) as sight:
        plan = sight.plan(name)
        book = sight.desk.unwinding.books[ground.pledges[name].share.address]
        assert isinstance(book, VaultBook)
        assert book.curve.is_exact == (name == "static")
        moving = [one.label for one in sight.adapter.feeds(sight.view) if one.moves_by_time]
        assert len(moving) == sum(one.is_vault for one in ground.pledges.values())
        (done,) = await rehearsed(sight, plan)
        planned, rehearsed_at = (one.forecast.net + one.forecast.gas for one in (plan, done))
        assert planned < rehearsed_at < planned * 1_000_001 // 1_000_000
        before = read(ground.live.rpc, weth, "balanceOf", RECIPIENT)
        mine(ground, done)
        assert read(ground.live.rpc, weth, "balanceOf", RECIPIENT) - before == rehearsed_at


@pytest.mark.parametrize("built", ["3.6"], indirect=True)
async def test_the_price_of_such_a_vault_at_the_head_is_not_yet_the_one_that_counts(
    ground: Pledged,
) -> None:
    async with opened(ground) as chain:
        sight = await look(ground, chain, is_aimed=False)
        plan = sight.plan("static")
        held, failed = await rehearse([plan], chain.simulator, sight.stage(), sight.decoders())
        assert not held
        assert failed[0].reason is Reason.SIMULATION_DIFFERS


@pytest.mark.parametrize("name", ["offset", "native", "aWBTC"])
async def test_a_mined_plan_pays_its_forecast_and_leaves_nothing_behind(
    ground: Pledged, name: str
) -> None:
    live, one = ground.live, ground.pledges[name]
    async with seen(ground) as sight:
        (plan,) = await rehearsed(sight, sight.plan(name))
        weth = live.tokens["WETH"]
        before = read(live.rpc, weth, "balanceOf", RECIPIENT)
        mine(ground, plan)
        earned = read(live.rpc, weth, "balanceOf", RECIPIENT) - before
        assert earned == plan.forecast.net + plan.forecast.gas
        tokens = (one.share, *live.tokens.values())
        held = [read(live.rpc, token, "balanceOf", ground.executor.address) for token in tokens]
        assert held == [0] * len(tokens)


def mine(ground: Pledged, *plans: Plan) -> None:
    """Mine plans in one block, the one that they aim at."""
    rpc = ground.live.rpc
    with held_mining(rpc):
        sent = [
            rpc.call(
                "eth_sendTransaction",
                {
                    "from": plan.transaction.sender,
                    "to": plan.transaction.to,
                    "data": "0x" + plan.transaction.data.hex(),
                    "gas": hex(plan.gas_limit),
                    "maxFeePerGas": hex(plan.fees.max_fee),
                    "maxPriorityFeePerGas": hex(plan.fees.priority_fee),
                },
            )
            for plan in plans
        ]
        rpc.call("evm_setNextBlockTimestamp", plans[0].opportunity.timestamp)
        rpc.call("evm_mine")
    receipts = [rpc.call("eth_getTransactionReceipt", one) for one in sent]
    assert [one["status"] for one in receipts] == ["0x1"] * len(plans)


async def test_two_plans_that_redeem_from_one_vault_both_come_to_their_forecast(
    ground: Pledged,
) -> None:
    async with seen(ground) as sight:
        cases = [sight.cases["plain"], sight.cases["plain twin"]]
        plans = sight.planner.plan_all(cases, sight.desk)
        assert all(isinstance(one, Plan) for one in plans)
        done = await rehearsed(sight, *plans)
        assert [without_gas(one) for one in done] == [without_gas(one) for one in plans]


async def test_a_plan_leaves_the_next_one_less_to_redeem(ground: Pledged) -> None:
    async with seen(ground) as sight:
        shares = sight.plan("moody").quote.received
    ground.do(ground.pledges["moody"].share, "allow", shares * 3 // 2)
    async with seen(ground) as sight:
        cases = [sight.cases["moody"], sight.cases["moody twin"]]
        plans = sight.planner.plan_all(cases, sight.desk)
        assert all(isinstance(one, Plan) for one in plans)
        redeemed = [one.unwound.shares for one in plans]
        assert redeemed[1] < redeemed[0]
        assert sum(redeemed) <= shares * 3 // 2
        assert sum(redeemed) > shares * 149 // 100
        await rehearsed(sight, *plans)


async def test_no_more_is_seized_than_can_be_redeemed(ground: Pledged) -> None:
    async with seen(ground) as sight:
        shares = sight.plan("moody").quote.received
    ground.do(ground.pledges["moody"].share, "allow", shares // 3)
    async with seen(ground) as sight:
        plan = sight.plan("moody")
        assert shares * 33 // 100 < plan.unwound.shares <= shares // 3
        await rehearsed(sight, plan)

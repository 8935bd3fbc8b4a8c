"""Vault shares and aTokens are redeemed for exactly what was forecast, or are refused.

The aTokens and their pool are Aave's of two releases, the vaults OpenZeppelin's, Aave's and
MetaMorpho, Morpho is Morpho.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import Call, Transaction
from keeper.core.errors import RefusedError
from keeper.core.lending import Option, Reason, SeizeQuote
from keeper.core.plan import LoanKind, Plan
from keeper.core.units import MAX_UINT256, Address
from keeper.core.values import replace
from keeper.devnet.prices import held_mining
from keeper.devnet.sender import Sender, read
from keeper.devnet.tokens import fund
from keeper.executor.rehearse import rehearse
from keeper.planner.case import Case
from keeper.planner.planner import Planner
from keeper.venues.flash_loans import AaveV3FlashSource
from keeper.venues.unwinding.atoken import ATokenBook
from keeper.venues.unwinding.erc4626 import VaultBook
from tests.support.executor_stage import RECIPIENT
from tests.support.gas_record import on_record
from tests.support.market_node import MarketNode, built_market, copied_market
from tests.support.pledged_shares import Pledge, Pledged, pledged
from tests.support.unwinding_scene import Sight, look

BORROWERS = 40
VAULTS = ("plain", "offset", "native", "same", "for ether", "fee", "moody")
ATOKENS = ("aWBTC", "aWETH")
RECORDED = "3.0"
"""The release of Aave whose gas is on record."""
UNSIGNED_BYTES = 60
"""Of a transaction, besides its data and signature."""


@pytest.fixture(scope="module", params=["3.0", "3.6"])
def built(
    anvil_binary: Path, request: pytest.FixtureRequest, local_market: MarketNode
) -> Iterator[Pledged]:
    if request.param == "3.0":
        with copied_market(anvil_binary, local_market) as node:
            yield pledged(node)
        return
    with built_market(anvil_binary, seed=5, borrowers=BORROWERS, aave=request.param) as node:
        yield pledged(node)


@pytest.fixture
def ground(built: Pledged) -> Iterator[Pledged]:
    """The built market; what a test does to it is undone."""
    mark = built.live.rpc.call("evm_snapshot")
    yield built
    built.live.rpc.call("evm_revert", mark)


@asynccontextmanager
async def opened(ground: Pledged) -> AsyncIterator[Chain]:
    market = ground.node.market
    options = ChainOptions(chain_id=market.chain_id, multicall3=market.multicall3)
    async with open_chain(ground.node.anvil.http_url, options) as chain:
        yield chain


@asynccontextmanager
async def seen(ground: Pledged) -> AsyncIterator[Sight]:
    async with opened(ground) as chain:
        yield await look(ground, chain)


async def rehearsed(sight: Sight, *plans: Plan) -> list[Plan]:
    """Return the plans as the executor would send them: their exact transactions were run."""
    held, failed = await rehearse(plans, sight.chain.simulator, sight.stage(), sight.decoders())
    assert not failed, failed
    return held


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


@pytest.mark.parametrize("built", ["3.6"], indirect=True)
async def test_a_vault_over_a_paused_reserve_is_refused(ground: Pledged) -> None:
    live = ground.live
    pause = "setReservePause(address,bool)"
    ground.do(live.configurator, pause, live.tokens["WETH"].address, True)
    async with seen(ground) as sight:
        assert "maxRedeem is 0, for holders of" in sight.refusal("static")


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


@pytest.mark.parametrize(
    ("mood", "arguments", "said"),
    [
        ("allow", (0,), "maxRedeem is 0, for holders of"),
        ("allow", (1,), "shares are"),
        ("silence", (), "expected 32 bytes of previewRedeem("),
        ("tier", (), "in proportion to other amounts, found"),
    ],
)
async def test_a_vault_that_does_not_redeem_is_refused_with_why(
    ground: Pledged, mood: str, arguments: Sequence[int], said: str
) -> None:
    ground.do(ground.pledges["moody"].share, mood, *arguments)
    async with seen(ground) as sight:
        refusal = sight.refusal("moody")
        assert refusal.startswith("no_route: cannot be redeemed: ")
        assert said in refusal
        assert isinstance(sight.plan("plain"), Plan)


async def test_by_how_much_too_many_shares_are_seized_is_said(ground: Pledged) -> None:
    ground.do(ground.pledges["moody"].share, "allow", 10)
    async with seen(ground) as sight:
        book = sight.desk.unwinding.books[ground.pledges["moody"].share.address]
        with pytest.raises(RefusedError, match="17 shares are 7 more than maxRedeem, 10"):
            book.redeem([9, 8], timestamp=0, funding=None)


async def test_an_underlying_that_no_pool_swaps_is_named(ground: Pledged) -> None:
    async with seen(ground) as sight:
        bare = Planner(
            terms=sight.terms, venues=(), lenders=(), unwinders=ground.unwinders(sight.chain)
        )
        desk = await bare.desk(
            [sight.cases["plain"].opportunity],
            sight.block,
            fees=sight.desk.fees,
            base_fee=sight.desk.base_fee,
        )
        found = bare.plan(sight.cases["plain"], desk)
        assert found.detail == (
            "no pools swap WBTC for USDC and WBTC for the native coin (looked at no venue)"
        )


async def test_a_paused_reserve_is_refused(ground: Pledged) -> None:
    live = ground.live
    arguments = (live.tokens["WBTC"].address, True)
    ground.do(live.configurator, "setReservePause(address,bool)", *arguments)
    async with seen(ground) as sight:
        assert sight.refusal("aWBTC").endswith("the reserve of WBTC is paused")


async def test_a_reserve_that_is_lent_out_is_refused_with_by_how_much(ground: Pledged) -> None:
    async with seen(ground) as sight:
        needed = sight.plan("aWETH").unwound.assets
    cash = drain(ground, "WETH", leave=needed // 1_000)
    async with seen(ground) as sight:
        book = sight.desk.unwinding.books[ground.pledges["aWETH"].share.address]
        assert isinstance(book, ATokenBook)
        assert book.reserve.cash == cash
        with pytest.raises(RefusedError) as refused:
            book.redeem([needed], timestamp=sight.block.timestamp + 12, funding=None)
        assert f"are {needed - cash} more than the pool has, {cash}" in str(refused.value)
        found = sight.planner.plan(sight.cases["aWETH"], sight.desk)
        assert not isinstance(found, Plan)


def drain(ground: Pledged, symbol: str, *, leave: int) -> int:
    """Borrow all but so much of a reserve against dollars; return what is left."""
    live, who = ground.live, ground.node.market.accounts.arbitrageur
    sender, token = Sender.of(live.rpc, who), live.tokens[symbol]
    market = live.market.asset(symbol)
    usdc = live.tokens["USDC"]
    amount = 10**15
    fund(sender, live.tokens, who, {"USDC": amount})
    sender.call(usdc, "approve", live.pool.address, MAX_UINT256)
    supply = "supply(address,uint256,address,uint16)"
    sender.call(live.pool, supply, usdc.address, amount, who, 0)
    sender.mine()
    held = read(live.rpc, token, "balanceOf", market.a_token)
    borrow = "borrow(address,uint256,uint256,uint16,address)"
    sender.call(live.pool, borrow, token.address, held - leave, 2, 0, who)
    sender.mine()
    return int(read(live.rpc, token, "balanceOf", market.a_token))


async def test_a_vault_gives_what_its_curve_says_for_any_amount(ground: Pledged) -> None:
    async with seen(ground) as sight:
        for name in VAULTS:
            one = ground.pledges[name]
            book = sight.desk.unwinding.books[one.share.address]
            assert isinstance(book, VaultBook)
            assert book.curve.is_exact
            amounts = drawn(7)
            given = await previewed(sight, one, amounts)
            assert [book.curve.of(amount) for amount in amounts] == given, name


async def test_metamorpho_gives_what_its_curve_says_or_a_unit_more(ground: Pledged) -> None:
    """Its fee is minted when somebody redeems: what it answers follows from no total of its own."""
    one = ground.pledges["lending"]
    async with seen(ground) as sight:
        book = sight.desk.unwinding.books[one.share.address]
        assert isinstance(book, VaultBook)
        amounts = drawn(9)
        given = await previewed(sight, one, amounts)
    more = {got - book.curve.of(amount) for amount, got in zip(amounts, given, strict=True)}
    assert more <= {0, 1}


async def test_what_metamorpho_has_lent_out_is_not_counted_on(ground: Pledged) -> None:
    async with seen(ground) as sight:
        assets = sight.plan("lending").unwound.assets
    lend(ground, leave=assets // 2)
    async with seen(ground) as sight:
        plan = sight.plan("lending")
        assert assets * 49 // 100 < plan.unwound.assets <= assets // 2
        (done,) = await rehearsed(sight, plan)
        assert done.forecast.net > 10**16
    lend(ground, leave=0)
    async with seen(ground) as sight:
        refusal = sight.refusal("lending")
        assert refusal.startswith("no_route: cannot be redeemed: ")
        assert "maxRedeem is 0, for holders of" in refusal


def lend(ground: Pledged, *, leave: int) -> None:
    """Let the borrower take what the market of MetaMorpho still has, but for so much."""
    rpc, morpho = ground.live.rpc, ground.morpho
    key = read(rpc, ground.pledges["lending"].share, "withdrawQueue", 0)
    params = read(rpc, morpho, "idToMarketParams", key)
    supplied, _, borrowed, *_ = read(rpc, morpho, "market", key)
    borrower = Sender.of(rpc, ground.borrower)
    amount = supplied - borrowed - leave
    borrower.call(morpho, "borrow", params, amount, 0, ground.borrower, ground.borrower)
    borrower.mine()


def drawn(seed: int) -> list[int]:
    """Return amounts of every size."""
    chance = Random(seed)  # noqa: S311 - amounts, not secrets
    return [chance.randrange(1, 10 ** chance.randrange(1, 25)) for _ in range(100)]


async def previewed(sight: Sight, one: Pledge, amounts: Sequence[int]) -> list[int]:
    """Return what a vault says that it gives for shares, at the block."""
    calls = [
        Call(to=one.share.address, data=one.share.encode("previewRedeem", amount))
        for amount in amounts
    ]
    answers = await sight.chain.reader.call_many(calls, sight.block)
    return [int.from_bytes(answer.data) for answer in answers]


async def test_an_atoken_is_withdrawn_for_what_its_book_says(ground: Pledged) -> None:
    """Received in several parts, each rounded by itself, now or after years."""
    chance = Random(8)  # noqa: S311 - amounts, not secrets
    moved = 0
    async with seen(ground) as sight:
        for name in ATOKENS:
            one = ground.pledges[name]
            book = sight.desk.unwinding.books[one.share.address]
            for wait in (0, 12, 300_000_000):
                for _ in range(8):
                    parts = [chance.randrange(1, 10 ** chance.randrange(1, 7)) for _ in range(5)]
                    got = await withdrawn(ground, sight, one, parts, wait)
                    when = sight.block.timestamp + 1 + wait
                    expected = book.redeem(parts, timestamp=when, funding=None)
                    assert got == expected, (name, wait, parts)
                    moved += expected != sum(parts)
    assert moved > 0


async def withdrawn(
    ground: Pledged, sight: Sight, one: Pledge, parts: Sequence[int], wait: int
) -> int:
    """Transfer parts of an aToken to somebody without any, who withdraws; return what they got."""
    stranger = Address("0x" + "5a" * 20)
    book = sight.desk.unwinding.books[one.share.address]
    call = book.call(stranger)
    transfers = [
        Transaction(
            sender=ground.borrower,
            to=one.share.address,
            data=one.share.encode("transfer", stranger, part),
        )
        for part in parts
    ]
    *_, last = await sight.chain.simulator.simulate(
        [*transfers, Transaction(sender=stranger, to=call.target, data=call.data)],
        base=sight.block,
        timestamp=sight.block.timestamp + 1 + wait,
        base_fee=0,
        overrides={},
    )
    assert last.success, last.error
    return int.from_bytes(last.return_data)

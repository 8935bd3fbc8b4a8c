"""What vault shares and aTokens can be redeemed for, by their books and by the contracts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from keeper.core.chain import Call, Transaction
from keeper.core.errors import RefusedError
from keeper.core.plan import Plan
from keeper.core.units import MAX_UINT256, Address
from keeper.devnet.sender import Sender, read
from keeper.devnet.tokens import fund
from keeper.planner.planner import Planner
from keeper.venues.unwinding.atoken import ATokenBook
from keeper.venues.unwinding.erc4626 import VaultBook
from tests.support.market_node import MarketNode
from tests.support.pledged_shares import Pledge, Pledged
from tests.support.unwinding_scene import (
    ATOKENS,
    RELEASES,
    VAULTS,
    Sight,
    ground_of,
    rehearsed,
    seen,
    undone,
)


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


@pytest.mark.parametrize("built", ["3.6"], indirect=True)
async def test_a_vault_over_a_paused_reserve_is_refused(ground: Pledged) -> None:
    live = ground.live
    pause = "setReservePause(address,bool)"
    ground.do(live.configurator, pause, live.tokens["WETH"].address, True)
    async with seen(ground) as sight:
        assert "maxRedeem is 0, for holders of" in sight.refusal("static")


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

"""Venus's core pool, to the wei: shortfalls, repayments, seizures, fees, refusals."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from keeper.core.lending import AccountRef, Option, Price, SeizeQuote
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.crash import crash
from keeper.devnet.prices import push_prices
from keeper.devnet.sender import Sender
from keeper.devnet.venus_actions import allow_liquidations, random_actions
from keeper.evm.words import word_of_int
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.case import case_of, market_at
from keeper.protocols.compound_v2.health import Shortfall, debt_of, shortfall
from keeper.protocols.compound_v2.refusals import Refusal
from keeper.protocols.compound_v2.state import Deployment, Position
from tests.support.gas_record import gas_of_a_whole_liquidation, on_record
from tests.support.venus_scene import (
    BORROWERS,
    Look,
    Scene,
    VenusNode,
    assert_refused,
    built_venus,
    copied_venus,
    differences,
    judge,
    liquidate_call,
    one_transaction,
    open_scene,
    spoils_tokens,
)

ROUNDS = 4
ACTIONS = 120


@pytest.fixture(scope="module")
def venus_node(anvil_binary: Path) -> Iterator[VenusNode]:
    with built_venus(anvil_binary) as node:
        yield node


@pytest.fixture
async def scene(anvil_binary: Path, venus_node: VenusNode) -> AsyncIterator[Scene]:
    with copied_venus(anvil_binary, venus_node) as node:
        async with open_scene(node) as opened:
            allow_liquidations(node.live, Sender.of(node.live.live.rpc, opened.supplier))
            yield opened


async def crashed(scene: Scene, steps: int = 6) -> Look:
    for step in crash(scene.live.live):
        if step.number == steps:
            break
    return await scene.look()


async def test_every_account_is_as_short_as_the_comptroller_says(scene: Scene):
    look = await scene.look()
    assert not look.market.seizes_unentered
    assert len(look.positions) >= BORROWERS
    assert await differences(scene, look) == []
    for seed in range(ROUNDS):
        report = random_actions(scene.live, seed=seed, count=ACTIONS)
        assert sum(report.succeeded.values()) > ACTIONS // 2
        assert report.succeeded["liquidate"] + report.refused["liquidate"] > 0
        look = await scene.look(look.positions)
        assert await differences(scene, look) == []
        assert await drifted(scene, look) == []


async def drifted(scene: Scene, look: Look) -> list[str]:
    """Return the accounts of which the audit finds other than we hold."""
    view = scene.view(look)
    found = await scene.adapter.audit(scene.chain.reader, look.block, view, look.positions)
    assert set(found) == set(look.positions)
    return [f"{ref.account}: {both}" for ref, both in found.items() if not both.agree]


async def test_a_position_that_was_not_read_again_is_found_by_the_audit(scene: Scene):
    before = await scene.look()
    random_actions(scene.live, seed=7, count=40)
    after = await scene.look()
    stale = replace(after, positions=before.positions)
    assert await drifted(scene, stale) != []


async def test_following_the_logs_equals_reading_everything(scene: Scene):
    followed = await scene.look()
    for seed in range(ROUNDS):
        random_actions(scene.live, seed=100 + seed, count=ACTIONS)
        followed = await scene.follow(followed)
        cold = await scene.look(followed.positions)
        assert followed.market == cold.market
        assert followed.positions == cold.positions


async def test_debts_are_read_with_the_index_they_were_made_at(scene: Scene):
    random_actions(scene.live, seed=9, count=60)
    look = await scene.look()
    entries = [one for p in look.positions.values() for one in p.entries if one.principal]
    older = [
        one for one in entries if one.principal_index < look.market.markets[one.market].stored.index
    ]
    assert len(older) > len(entries) // 2


async def test_every_option_liquidates_as_quoted(scene: Scene):
    random_actions(scene.live, seed=5, count=60)
    look = await crashed(scene)
    view = scene.view(look, ahead=1)
    random = Random(1)  # noqa: S311 - a sample, not a secret
    quoted = 0
    for ref, position in sorted(look.positions.items()):
        for option in scene.adapter.options(view, position):
            most = option.max_repay
            for repay in (most, random.randrange(1, most + 1)):
                assert isinstance(await judge(scene, look, ref, option, repay), SeizeQuote)
                quoted += 1
    assert quoted > 40


async def test_a_whole_liquidation_takes_the_gas_on_record(scene: Scene):
    await crashed(scene)
    gas = await gas_of_a_whole_liquidation(scene, "USDC", lambda _: True)
    on_record("venus, aave flash, one hop", gas)


async def test_a_second_liquidation_in_the_block_finds_what_the_first_left(scene: Scene):
    random_actions(scene.live, seed=7, count=60)
    look = await crashed(scene)
    view, followed = scene.view(look, ahead=1), 0
    for ref, position in sorted(look.positions.items()):
        for option in scene.adapter.options(view, position):
            first = scene.adapter.seize(view, position, option, max(option.max_repay // 3, 1))
            left = scene.adapter.after_seize(view, position, option, first)
            if left is None:
                continue
            again = [one for one in scene.adapter.options(*left) if one.key == option.key]
            for other in again:
                second = scene.adapter.seize(*left, other, other.max_repay)
                calls = [
                    *settled(view, position, ref, option, first),
                    *settled(left[0], left[1], ref, other, second),
                ]
                done = await scene.run(look, *calls)
                assert all(one.success for one in done), [one.error for one in done]
                found = scene.adapter.decode(view, one_transaction(done))
                assert [(f.repaid, f.seized, f.protocol_fee) for f in found] == [
                    (q.repay, q.seized, q.protocol_fee) for q in (first, second)
                ]
                followed += 1
    assert followed > 10


def settled(
    view: Deployment, position: Position, ref: AccountRef, option: Option, quote: SeizeQuote
) -> list[tuple[Address, bytes, int]]:
    """Return the calls of a quoted liquidation, its spoils redeemed."""
    collateral, debt = (Address(one) for one in option.key.split(":"))
    case = case_of(view, position, market_at(view, collateral), market_at(view, debt))
    redeemed = word_of_int(spoils_tokens(view, case, quote.repay))
    return [
        *((view.markets[one].token, codec.ACCRUE_INTEREST, 0) for one in quote.inputs),
        liquidate_call(view, ref, collateral, debt, quote.repay),
        (collateral, codec.REDEEM + redeemed, 0),
    ]


async def test_every_refusal_is_foreseen(scene: Scene):
    random_actions(scene.live, seed=6, count=60)
    look = await crashed(scene, steps=4)
    random = Random(2)  # noqa: S311 - a sample, not a secret
    found = Counter[Refusal | type[SeizeQuote]]()
    for ref, position in sorted(look.positions.items()):
        for option, owed in pairs(scene, look, position):
            repay = random.choice((0, 1, owed // 3, owed // 2 + 1, owed * 2))
            said = await judge(scene, look, ref, option, repay)
            found[said if isinstance(said, Refusal) else SeizeQuote] += 1
    assert found[Refusal.HEALTHY] > 5
    assert found[Refusal.TOO_MUCH_REPAY] > 0
    assert found[SeizeQuote] > 0


def pairs(scene: Scene, look: Look, position: Position) -> list[tuple[Option, int]]:
    """Return every pair of an account's markets, with what is owed in the second."""
    view = scene.view(look, ahead=1)
    markets = look.market.markets
    held = [markets[one.market] for one in position.entries if one.tokens]
    owed = [(markets[e.market], debt_of(view, e)) for e in position.entries if e.principal]
    return [
        (Option(collateral=c.asset, debt=d.asset, max_repay=0, key=f"{c.token}:{d.token}"), debt)
        for c in held
        for d, debt in owed
    ]


async def test_accruing_another_market_first_makes_the_shortfall(scene: Scene):
    """``liquidateBorrow`` accrues two markets; a third debt counts as it was last stored."""
    scene.live.live.rpc.call("anvil_mine", hex(300))
    accrue_all_but_debts(scene)
    look = await scene.look()
    ref, option, answer = on_the_edge(scene, look)
    push_prices(scene.live.live, {"WETH": answer})
    look = await scene.look()
    view, position = scene.view(look, ahead=1), look.positions[ref]
    (fitting,) = [o for o in scene.adapter.options(view, position) if o.key == option.key]
    quote = await judge(scene, look, ref, fitting, fitting.max_repay)
    assert isinstance(quote, SeizeQuote)
    assert quote.inputs
    collateral, debt = (Address(one) for one in option.key.split(":"))
    alone = liquidate_call(view, ref, collateral, debt, fitting.max_repay)
    (done,) = await scene.run(look, alone)
    assert_refused(view, done, Refusal.HEALTHY, market_at(view, debt))


def accrue_all_but_debts(scene: Scene) -> None:
    """Accrue the ether markets, so that only debts have interest to come."""
    supplier = Sender.of(scene.live.live.rpc, scene.supplier)
    for name in ("ETH", "WETH", "WBTC", "wstETH"):
        supplier.call(scene.live.markets[name], "accrueInterest")
    supplier.mine()


def on_the_edge(scene: Scene, look: Look) -> tuple[AccountRef, Option, int]:
    """Return a pair that is short only if another debt is accrued first, and the ether price."""
    ether = {scene.live.markets[name].address for name in ("ETH", "WETH")}
    for ref, position in sorted(look.positions.items()):
        owed = [one for one in position.entries if one.principal]
        if len(owed) < 2 or any(look.market.markets[e.market].token in ether for e in owed):
            continue
        for option, _ in pairs(scene, look, position):
            answer = edge_price(scene, look, position, option, ether)
            if answer is not None:
                return ref, option, answer
    msg = "expected an account with two debts against ether, found none"
    raise AssertionError(msg)


def edge_price(
    scene: Scene, look: Look, position: Position, option: Option, ether: set[Address]
) -> int | None:
    """Return the highest price of ether, 8 decimals, at which the pair can be made short."""
    numbers = [look.market.numbers[Address(one)] for one in option.key.split(":")]

    def found(answer: int) -> Shortfall:
        moved = Price(value=answer * 10**10, block=0, updated_at=0)
        prices = {**look.prices, **dict.fromkeys(ether, moved)}
        # The price is pushed in a block of its own: the liquidation is in the one after that.
        view = scene.adapter.at(
            look.market,
            block=look.block.number + 2,
            timestamp=look.block.timestamp + 24,
            prices=prices,
        )
        return shortfall(view, position, numbers)

    low, high = 10**8, 10**13
    if not any(look.market.markets[e.market].token in ether for e in position.entries):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if found(middle).value > 0 else (low, middle)
    return low if found(low).accrue else None


async def test_the_audit_agrees_with_venus_and_names_what_drifted(scene: Scene):
    random_actions(scene.live, seed=7, count=ACTIONS)
    look = await scene.look()
    reader, view = scene.chain.reader, scene.view(look)
    owing = {ref: one for ref, one in look.positions.items() if one.entries}
    sides = await scene.adapter.audit(reader, look.block, view, owing)
    assert len(sides) == len(owing) > BORROWERS // 2
    assert [str(one) for one in sides.values() if not one.agree] == []
    ref, position = next(iter(owing.items()))
    first, *rest = position.entries
    wrong = replace(position, entries=(first._replace(tokens=first.tokens + 1), *rest))
    (found,) = (await scene.adapter.audit(reader, look.block, view, {ref: wrong})).values()
    assert f"tokens {first.tokens + 1} in the mirror, {first.tokens} on chain" in str(found)


@pytest.mark.parametrize("field", ["rate", "accrued_at", "reserve_factor"])
async def test_the_audit_names_what_interest_to_come_follows_from(scene: Scene, field: str):
    look = await scene.look()
    ref, position = next((r, p) for r, p in sorted(look.positions.items()) if p.entries)
    number = position.entries[0].market
    markets = list(look.market.markets)
    markets[number] = replace(markets[number], **{field: getattr(markets[number], field) + 1})
    view = scene.view(replace(look, market=replace(look.market, markets=tuple(markets))))
    chain = scene.chain.reader
    (found,) = (await scene.adapter.audit(chain, look.block, view, {ref: position})).values()
    (wrong,) = [name for name, mine in found.mirror.items() if found.chain[name] != mine]
    assert wrong.startswith(f"{markets[number].symbol} of market {number} ")
    assert found.mirror[wrong] == found.chain[wrong] + 1

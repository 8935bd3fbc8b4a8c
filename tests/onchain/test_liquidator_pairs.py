"""Swaps against real Uniswap V2 pairs, priced on chain at the reserves of that moment."""

from dataclasses import dataclass

import pytest

from keeper.core.values import replace
from keeper.devnet.contract import Contract
from keeper.devnet.sender import Sender, read
from keeper.devnet.uniswap_v2 import UniswapV2, deploy_uniswap_v2, open_pair
from keeper.evm.program import BalanceOf, Known, PairSwap, Swap
from tests.support.executor_scene import FEE, GAIN, LOAN, Scene, scene_of
from tests.support.executor_stage import RECIPIENT, Stage

RESERVE = 40 * LOAN
MILLION = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A scene whose collateral and debt also trade in a pair, and a token between two more."""

    scene: Scene
    exchange: UniswapV2
    middle: Contract
    pair: Contract
    pair_in: Contract
    pair_out: Contract

    def purchase(self) -> PairSwap:
        return PairSwap(
            pair=self.pair.address,
            token_in=self.scene.collateral.address,
            token_out=self.scene.debt.address,
            amount=Known.OWED,
            limit=BalanceOf(token=self.scene.collateral.address),
        )

    def sale(self) -> PairSwap:
        return replace(
            self.purchase(), amount=BalanceOf(token=self.scene.collateral.address), limit=None
        )

    def contracts(self) -> tuple[Contract, ...]:
        pairs = (self.pair, self.pair_in, self.pair_out)
        return (*self.scene.contracts(), self.middle, *pairs)


@pytest.fixture
def market(stage: Stage) -> Exchange:
    scene, middle = scene_of(stage), stage.token()
    for token in (scene.debt, scene.collateral, middle):
        stage.do(token, "mint", stage.owner, 10 * RESERVE)
    sender = Sender.of(stage.rpc, stage.owner)
    exchange = deploy_uniswap_v2(sender)
    collateral, debt = (scene.collateral, RESERVE), (scene.debt, RESERVE + 7)
    pair = open_pair(sender, exchange, (collateral, debt))
    pair_in = open_pair(sender, exchange, (collateral, (middle, RESERVE + 11)))
    pair_out = open_pair(sender, exchange, ((middle, RESERVE + 13), debt))
    sender.mine()
    return Exchange(
        scene=scene,
        exchange=exchange,
        middle=middle,
        pair=pair,
        pair_in=pair_in,
        pair_out=pair_out,
    )


def reserves(stage: Stage, pair: Contract, token_in: Contract) -> tuple[int, int]:
    reserve0, reserve1, _ = read(stage.rpc, pair, "getReserves")
    first = read(stage.rpc, pair, "token0") == token_in.address
    return (reserve0, reserve1) if first else (reserve1, reserve0)


def amount_out(pools: tuple[int, int], amount: int) -> int:
    """Return `UniswapV2Library.getAmountOut`."""
    reserve_in, reserve_out = pools
    return amount * 997 * reserve_out // (reserve_in * 1000 + amount * 997)


def amount_in(pools: tuple[int, int], amount: int) -> int:
    """Return `UniswapV2Library.getAmountIn`."""
    reserve_in, reserve_out = pools
    return reserve_in * amount * 1000 // ((reserve_out - amount) * 997) + 1


def test_the_pair_is_where_it_was_said_to_be(stage: Stage, market: Exchange) -> None:
    found = read(
        stage.rpc,
        market.exchange.factory,
        "getPair",
        market.scene.debt.address,
        market.scene.collateral.address,
    )
    assert found == market.pair.address


def test_what_is_owed_is_bought_to_the_unit(stage: Stage, market: Exchange) -> None:
    scene = market.scene
    paid = amount_in(reserves(stage, market.pair, scene.collateral), LOAN + FEE)
    program = scene.program(scene.flash(scene.liquidation(), market.purchase()), min_profit=0)
    stage.run(replace(program, min_profit=2 * LOAN - paid))
    assert stage.holding(scene.collateral, RECIPIENT) == 2 * LOAN - paid
    assert stage.holding(scene.debt, RECIPIENT) == 0
    stage.assert_clean(*market.contracts())


def test_all_that_is_held_is_sold_to_the_unit(stage: Stage, market: Exchange) -> None:
    scene = market.scene
    got = amount_out(reserves(stage, market.pair, scene.collateral), 2 * LOAN)
    program = scene.program(scene.flash(scene.liquidation(), market.sale()), min_profit=0)
    stage.run(replace(program, profit_token=scene.debt.address))
    assert stage.holding(scene.debt, RECIPIENT) == got - LOAN - FEE
    stage.assert_clean(*market.contracts())


def test_a_pair_that_moved_is_met_at_its_new_price(stage: Stage, market: Exchange) -> None:
    scene = market.scene
    program = scene.program(scene.flash(scene.liquidation(), market.purchase()), min_profit=0)
    before = stage.profit_of(program)
    stage.do(scene.debt, "mint", market.pair.address, RESERVE // 50)
    stage.do(market.pair, "sync")
    paid = amount_in(reserves(stage, market.pair, scene.collateral), LOAN + FEE)
    assert stage.profit_of(program) == 2 * LOAN - paid > before


def test_the_owed_is_bought_across_two_pairs_by_nesting(stage: Stage, market: Exchange) -> None:
    scene, middle = market.scene, market.middle
    between = amount_in(reserves(stage, market.pair_out, middle), LOAN + FEE)
    paid = amount_in(reserves(stage, market.pair_in, scene.collateral), between)
    first = replace(market.purchase(), pair=market.pair_in.address, token_out=middle.address)
    last = replace(
        market.purchase(),
        pair=market.pair_out.address,
        token_in=middle.address,
        limit=2**128,
        inner=(first,),
    )
    stage.run(scene.program(scene.flash(scene.liquidation(), last), min_profit=2 * LOAN - paid))
    assert stage.holding(scene.collateral, RECIPIENT) == 2 * LOAN - paid
    stage.assert_clean(*market.contracts())


def test_a_pair_and_a_concentrated_pool_are_nested_either_way(
    stage: Stage, market: Exchange
) -> None:
    scene, middle = market.scene, market.middle
    pool = stage.deploy("HostilePool", middle.address, scene.collateral.address)
    for token in (middle, scene.collateral):
        stage.do(token, "mint", pool.address, 10 * LOAN)
    between = amount_in(reserves(stage, market.pair_out, middle), LOAN + FEE)
    through_pool = replace(scene.repay_leg(), pool=pool.address, token_out=middle.address)
    last = replace(
        market.purchase(),
        pair=market.pair_out.address,
        token_in=middle.address,
        limit=2**128,
        inner=(through_pool,),
    )
    assert stage.profit_of(scene.program(scene.flash(scene.liquidation(), last), min_profit=0)) == (
        2 * LOAN - between
    )
    other = stage.deploy("HostilePool", middle.address, scene.debt.address)
    for token in (middle, scene.debt):
        stage.do(token, "mint", other.address, 10 * LOAN)
    first = replace(market.purchase(), pair=market.pair_in.address, token_out=middle.address)
    through_pair = Swap(
        pool=other.address,
        token_in=middle.address,
        token_out=scene.debt.address,
        amount=Known.OWED,
        limit=2**128,
        inner=(first,),
    )
    paid = amount_in(reserves(stage, market.pair_in, scene.collateral), LOAN + FEE)
    assert (
        stage.profit_of(scene.program(scene.flash(scene.liquidation(), through_pair), min_profit=0))
        == 2 * LOAN - paid
    )


def test_a_purchase_is_split_between_a_pair_and_a_pool(stage: Stage, market: Exchange) -> None:
    scene, half = market.scene, LOAN // 2
    paid = amount_in(reserves(stage, market.pair, scene.collateral), half)
    program = scene.program(
        scene.flash(
            scene.liquidation(), replace(market.purchase(), amount=half), scene.repay_leg()
        ),
        min_profit=2 * LOAN - paid - (LOAN + FEE - half),
    )
    stage.run(program)
    assert stage.holding(scene.collateral, RECIPIENT) == program.min_profit
    stage.assert_clean(*market.contracts())


def test_a_sale_crosses_two_pairs_one_after_the_other(stage: Stage, market: Exchange) -> None:
    scene, middle = market.scene, market.middle
    between = amount_out(reserves(stage, market.pair_in, scene.collateral), 2 * LOAN)
    got = amount_out(reserves(stage, market.pair_out, middle), between)
    first = replace(market.sale(), pair=market.pair_in.address, token_out=middle.address)
    second = replace(
        market.sale(),
        pair=market.pair_out.address,
        token_in=middle.address,
        amount=BalanceOf(token=middle.address),
    )
    program = scene.program(
        scene.flash(scene.liquidation(), first, second), min_profit=got - LOAN - FEE
    )
    assert stage.profit_of(replace(program, profit_token=scene.debt.address)) == got - LOAN - FEE


def test_a_price_above_the_limit_is_refused(stage: Stage, market: Exchange) -> None:
    scene = market.scene
    paid = amount_in(reserves(stage, market.pair, scene.collateral), LOAN + FEE)
    for limit in (paid, paid - 1):
        leg = replace(market.purchase(), limit=limit)
        program = scene.program(scene.flash(scene.liquidation(), leg), min_profit=0)
        if limit == paid:
            assert stage.profit_of(program) == 2 * LOAN - paid
        else:
            found = stage.refusal(program)
            assert found == f"PaymentAboveLimit(asked={paid}, limit={paid - 1})"


def test_more_than_a_pair_holds_is_refused(stage: Stage, market: Exchange) -> None:
    scene = market.scene
    _, held = reserves(stage, market.pair, scene.collateral)
    leg = replace(market.purchase(), amount=held)
    found = stage.refusal(scene.program(scene.flash(scene.liquidation(), leg), min_profit=0))
    pair = market.pair.address
    assert found == f"PairTooShallow(pair={pair}, asked={held}, reserve={held})"


def test_a_fork_that_keeps_another_fee_is_priced_by_that_fee(
    stage: Stage, market: Exchange
) -> None:
    scene = market.scene
    reserve_in, reserve_out = reserves(stage, market.pair, scene.collateral)
    dearer = replace(market.sale(), fee=5_000)
    kept = 2 * LOAN * (MILLION - 5_000)
    got = kept * reserve_out // (reserve_in * MILLION + kept)
    program = replace(
        scene.program(scene.flash(scene.liquidation(), dearer), min_profit=0),
        profit_token=scene.debt.address,
    )
    assert stage.profit_of(program) == got - LOAN - FEE
    cheaper = replace(market.sale(), fee=2_500)
    refused = stage.refusal(scene.program(scene.flash(scene.liquidation(), cheaper)))
    assert b"UniswapV2: K".hex() in refused


def test_what_would_buy_nothing_is_left_for_the_recipient(stage: Stage, market: Exchange) -> None:
    scene = market.scene
    stage.do(scene.collateral, "mint", stage.executor.address, 1)
    stage.run(scene.program(market.sale(), min_profit=1))
    assert stage.holding(scene.collateral, RECIPIENT) == 1
    stage.run(scene.program(market.sale(), market.purchase(), min_profit=0))
    stage.assert_clean(*market.contracts())


def test_a_pair_that_takes_and_does_not_pay_trips_the_minimum(
    stage: Stage, market: Exchange
) -> None:
    scene = market.scene
    pair = stage.deploy("HostilePair", 10 * LOAN)
    scrap = amount_in((10 * LOAN, 10 * LOAN), LOAN // 2)
    leg = replace(market.purchase(), pair=pair.address, amount=LOAN // 2, limit=scrap)
    program = scene.program(scene.flash(scene.liquidation(), leg, scene.repay_leg()))
    expected = f"ProfitBelowMinimum(profit={GAIN - scrap}, minimum={GAIN})"
    assert stage.refusal(program) == expected


def test_a_pair_that_calls_back_undoes_the_program(stage: Stage, market: Exchange) -> None:
    scene = market.scene
    pair = stage.deploy("HostilePair", 10 * LOAN)
    stage.do(pair, "behave", 1)
    leg = replace(market.sale(), pair=pair.address)
    found = stage.refusal(scene.program(scene.flash(scene.liquidation(), leg), min_profit=0))
    assert found == f"UnexpectedCallback(caller={pair.address})"

"""The borrowers of the local market, before they are opened."""

import pytest

from keeper.devnet.assets import ASSETS, CATEGORIES
from keeper.devnet.population import Draft, Position, draw_population, fill


def debt_usd(position: Position) -> float:
    return sum(
        amount * ASSETS[symbol].price / 10 ** ASSETS[symbol].decimals / 1e8
        for symbol, amount in position.debt.items()
    )


def health(position: Position) -> float:
    """Return the health factor at today's prices, in floats: near enough to sort by."""
    weighted = 0.0
    for symbol, amount in position.collateral.items():
        spec = ASSETS[symbol]
        usd = amount * spec.price / 10**spec.decimals / 1e8
        own = position.category != 0 and spec.category == position.category
        bps = CATEGORIES[position.category].threshold_bps if own else spec.threshold_bps
        weighted += usd * bps / 10_000
    return weighted / debt_usd(position)


def test_the_same_seed_draws_the_same_borrowers():
    assert draw_population(7, 200) == draw_population(7, 200)


def test_another_seed_draws_others():
    assert draw_population(7, 200) != draw_population(8, 200)


@pytest.mark.parametrize("count", [0, 1, 8, 50, 333])
def test_as_many_borrowers_are_drawn_as_asked_for(count: int):
    assert len(draw_population(1, count)) == count


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("count", [100, 2_000])
def test_most_borrowers_are_safe_and_some_are_near_the_line(seed: int, count: int):
    factors = [health(position) for position in draw_population(seed, count)]
    assert sum(factor > 1.3 for factor in factors) > count / 2
    assert sum(1.0 < factor < 1.1 for factor in factors) >= count * 0.04
    assert min(factors) > 1.0


def test_some_have_several_collaterals_against_several_debts():
    drawn = draw_population(1, 50)
    assert sum(len(p.collateral) > 1 and len(p.debt) > 1 for p in drawn) >= 3


def test_some_are_in_each_emode_category():
    drawn = draw_population(1, 50)
    assert {p.category for p in drawn} == {0, *CATEGORIES}


def test_some_owe_too_little_to_be_worth_the_gas():
    assert sum(debt_usd(p) < 60 for p in draw_population(1, 50)) >= 3


def test_a_draft_gets_the_health_it_asks_for():
    draft = Draft(collateral_usd={"WETH": 10_000}, debt_shares={"USDC": 1}, health_bps=12_500)
    position = fill(draft)
    assert position.collateral == {"WETH": 10_000 * 10**18 // 3_000}
    assert position.debt == {"USDC": 6_640_000000}


def test_a_draft_never_asks_for_more_than_the_loan_to_value_limit_allows():
    draft = Draft(collateral_usd={"USDC": 10_000}, debt_shares={"DAI": 1}, health_bps=10_000)
    assert fill(draft).debt == {"DAI": 10_000 * 10**18 * 75 // 100 * 998 // 1_000}

"""The lines of an efficiency mode are made when an account of it is looked at, and once."""

import gc

import pytest

from keeper.core.values import replace
from keeper.protocols.aave_v3.exposure import repriced
from keeper.protocols.aave_v3.health import category_lines, view_at
from keeper.protocols.aave_v3.revision import V3_0, V3_6
from keeper.protocols.aave_v3.state import AaveMarket, Category, CategoryLines, Lines
from tests.support.lending_case import aave

EUROS = Category(threshold_bps=9_500, bonus_bps=10_100, collateral_bitmap=0b101)


def market(rules: object) -> AaveMarket:
    found = aave(V3_6 if rules is V3_6 else V3_0)
    return replace(found, categories={1: EUROS, 7: replace(EUROS, threshold_bps=9_000)})


def test_they_are_made_once_and_for_who_is_asked_for_alone() -> None:
    made: list[int] = []

    def make(number: int) -> Lines:
        made.append(number)
        return ()

    lines = CategoryLines({1: None, 7: None}, make)
    assert (list(lines), len(lines), made) == ([1, 7], 2, [])
    assert (lines[7], lines.get(7), lines.get(3)) == ((), (), None)
    assert made == [7]
    with pytest.raises(KeyError):
        lines[3]


@pytest.mark.parametrize("rules", [V3_0, V3_6], ids=["3.0", "3.6"])
def test_they_are_those_of_the_view(rules: object) -> None:
    prices = {reserve.asset: 10**8 for reserve in market(rules).reserves if reserve}
    view = view_at(market(rules), market(rules).timestamp + 12, prices)
    moved = repriced(view, {next(iter(prices)): 2 * 10**8})
    for one in (view, moved):
        for number, category in one.categories.items():
            expected = category_lines(
                one.rules, one.reserves, number, category, one.lines, one.prices
            )
            assert one.category_lines[number] == expected
    assert moved.category_lines[1] != view.category_lines[1]


def test_a_view_keeps_none_of_those_that_it_was_made_from() -> None:
    def living() -> int:
        gc.collect()
        return sum(isinstance(one, AaveMarket) for one in gc.get_objects())

    view = market(V3_6)
    prices = {reserve.asset: 10**8 for reserve in view.reserves if reserve}
    view, before = view_at(view, view.timestamp, prices), living()
    for seconds in range(20):
        view = repriced(view_at(view, view.timestamp + seconds, prices), prices)
        assert view.category_lines[1]
    assert living() <= before

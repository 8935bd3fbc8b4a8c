"""Prices by one answer, and the answer by a price: the first past it, and no earlier one."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.lending import Formula
from keeper.core.units import address
from keeper.oracle.formula import reckoned, slope_of

BASE, OTHER, QUOTE, LAST = (address(f"0x{n:040x}") for n in (1, 2, 3, 4))
ANSWERS = st.integers(1, 10**20)
SCALES = st.sampled_from([1, 10**10, 10**24, 10**36, 10**46])
FORMULAS = st.builds(
    Formula,
    scale=SCALES,
    over=st.sampled_from([(BASE,), (BASE, OTHER)]),
    under=st.sampled_from([(), (QUOTE,)]),
    by=st.sampled_from([1, 10**27]),
    most=st.none() | st.integers(1, 10**40),
)


@given(FORMULAS, ANSWERS, ANSWERS, ANSWERS)
def test_a_price_is_the_scale_times_answers_by_answers_rounded_down(
    formula: Formula, base: int, other: int, quote: int
) -> None:
    answers = {BASE: base, OTHER: other, QUOTE: quote}
    over, under = formula.scale, formula.by
    for one in formula.over:
        over *= answers[one]
    for one in formula.under:
        under *= answers[one]
    price = over // under if formula.most is None else min(over // under, formula.most)
    assert reckoned(formula, answers) == price
    for proxy in (*formula.over, *formula.under):
        slope = slope_of(formula, proxy, answers)
        assert slope is not None
        assert slope.at(answers[proxy]) == price


@given(FORMULAS, st.tuples(ANSWERS, ANSWERS, ANSWERS), st.integers(1, 10**60), st.data())
def test_the_answer_for_a_price_is_the_first_past_it(
    formula: Formula, at: tuple[int, int, int], price: int, data: st.DataObject
) -> None:
    proxy = data.draw(st.sampled_from((*formula.over, *formula.under)))
    falls = data.draw(st.booleans())
    slope = slope_of(formula, proxy, dict(zip((BASE, OTHER, QUOTE), at, strict=True)))
    assert slope is not None
    answer = slope.reaching(price, falls=falls)

    def is_past(one: int) -> bool:
        return slope.at(one) <= price if falls else slope.at(one) >= price

    if formula.most is not None and price >= formula.most + (not falls):
        assert answer == 0
        return
    back = answer + 1 if (proxy in formula.over) is falls else answer - 1
    assert answer >= 0
    assert is_past(answer) if answer else not is_past(1)
    assert back <= 0 or not is_past(back)


def test_without_an_answer_there_is_no_price() -> None:
    formula = Formula(scale=1, over=(BASE,), under=(QUOTE,))
    for answers in ({}, {BASE: 1}, {QUOTE: 1}, {BASE: 0, QUOTE: 1}, {BASE: 1, QUOTE: 0}):
        assert reckoned(formula, answers) is None
    assert reckoned(formula, {BASE: -1, QUOTE: -1}) is None
    assert slope_of(formula, BASE, {BASE: 5, QUOTE: -1}) is None
    two_under = Formula(scale=1, over=(BASE, OTHER), under=(QUOTE, LAST))
    assert slope_of(two_under, BASE, {OTHER: 5, QUOTE: 1, LAST: 1}) is not None
    assert slope_of(two_under, BASE, {OTHER: 5, QUOTE: -1, LAST: -1}) is None

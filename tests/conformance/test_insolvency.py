"""Bad debt means the same in every protocol: what the planner foresees is what the rules leave."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from keeper.core.errors import RefusedError
from keeper.core.lending import Health
from keeper.core.stepping import Stepwise
from keeper.planner.forced import is_insolvent
from tests.conformance.case import Case
from tests.conformance.gathered import CASES, offered

MOST_STEPS = 12
"""Of half of what is owed each: what is left after them is too little to tell."""


def end(case: Case, view: Any, position: Any, pair: tuple[str, str]) -> Health:
    """Return an account's health when a pair was liquidated for as long as the rules let it."""
    health = case.adapter.assess(view, position)
    for _ in range(MOST_STEPS):
        options = case.adapter.options(view, position)
        option = next((one for one in options if (one.collateral, one.debt) == pair), None)
        if option is None:
            break
        try:
            quote = case.adapter.seize(view, position, option, option.max_repay)
        except RefusedError:
            break
        left = case.adapter.after_seize(view, position, option, quote)
        if left is None:
            break
        view, position = left
        health = case.adapter.assess(view, position)
    return health


def told(case: Case) -> Iterator[tuple[bool, Health]]:
    """Yield whether an account of one pair is found insolvent, and how it ends."""
    view = case.view()
    for ref, position, option in offered(case, view):
        legs = case.adapter.legs(view, position)
        if (len(legs.collateral), len(legs.debt)) != (1, 1):
            continue
        health = case.adapter.assess(view, position)
        last = end(case, view, position, (option.collateral, option.debt))
        if last != health:
            quote = case.adapter.seize(view, position, option, option.max_repay)
            values = case.adapter.asset_values(view, ref.market)
            yield is_insolvent(health, values, option, quote), last


def test_who_is_insolvent_ends_with_debt_alone_and_who_is_not_does_not():
    seen, names = Counter[bool](), set()
    for case in CASES:
        if not isinstance(case.adapter, Stepwise):
            continue
        for insolvent, last in told(case):
            assert (last.collateral_base < last.debt_base) is insolvent, (case.name, last)
            seen[insolvent] += 1
            names.add(case.name.split()[0])
    assert min(seen[True], seen[False]) >= 5
    assert names >= {"aave_v3", "compound_v2", "venus"}

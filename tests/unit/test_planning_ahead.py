"""A plan made ahead of its reads is taken where the reads change nothing that it was made from."""

from typing import Any

import pytest
from msgspec import field

from keeper.app.batch import Batch
from keeper.app.planning_ahead import PlanningAhead, planned_of
from keeper.core.lending import AccountRef
from keeper.core.plan import Opportunity, Plan
from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.planner import Planner
from tests.support.lending_desk import (
    USDC,
    VALUATION,
    WETH,
    case_with,
    desk_of,
    named,
    option_of,
    pool_at_par,
    terms_of,
)

PLANNER = Planner(terms=terms_of(), venues=(), lenders=())
CASE = case_with(option_of(WETH, USDC, dollars=100_000))
ONE = CASE.opportunity
DEEP = desk_of(pool_at_par(WETH, USDC, dollars=50_000_000))
SHALLOW = desk_of(pool_at_par(WETH, USDC, dollars=40_000_000))


class Few(Batch[Any, Any], frozen=True, kw_only=True):
    """A batch whose cases are known."""

    known: dict[AccountRef, Case] = field(default_factory=dict)

    def case(self, opportunity: Opportunity) -> Case:
        return self.known[opportunity.ref]


def batch(*accounts: str, book: object = None) -> Few:
    cases = [
        replace(CASE, opportunity=replace(ONE, ref=replace(ONE.ref, account=named(one))))
        for one in accounts
    ]
    nothing: Any = None
    whole: Any = book
    return Few(
        adapter=nothing,
        view=nothing,
        book=whole,
        opportunities=[one.opportunity for one in cases],
        valuations={one.opportunity.ref: VALUATION for one in cases},
        known={one.opportunity.ref: one for one in cases},
    )


BATCH = batch("b1", "b2", book="its book")


def again(like: Few = BATCH) -> Few:
    """Return a batch that was made anew of the same look."""
    return replace(like, opportunities=list(like.opportunities))


def taken(ahead: PlanningAhead, of: Few, desk: Desk) -> list[Plan] | None:
    found = ahead.taken(of, of.opportunities, desk)
    return None if found is None else list(found.plans)


def test_a_guess_that_holds_is_the_plan_and_is_taken_once() -> None:
    ahead = PlanningAhead(PLANNER)
    guessed = list(ahead.guess(BATCH, DEEP))
    anew = replace(DEEP, loans=tuple(replace(one) for one in DEEP.loans))
    assert guessed == list(planned_of(PLANNER, BATCH.cases(), anew).plans)
    assert len(guessed) == 2
    assert taken(ahead, again(), anew) == guessed
    assert taken(ahead, again(), anew) is None


def test_pools_that_moved_void_it() -> None:
    ahead = PlanningAhead(PLANNER)
    assert ahead.guess(BATCH, DEEP)
    assert taken(ahead, again(), SHALLOW) is None


def test_fees_that_moved_void_it() -> None:
    ahead = PlanningAhead(PLANNER)
    assert ahead.guess(BATCH, DEEP)
    assert taken(ahead, again(), replace(DEEP, base_fee=DEEP.base_fee + 1)) is None


VALUED = {one: replace(VALUATION, native_price=1) for one in BATCH.valuations}


@pytest.mark.parametrize(
    "other",
    [
        batch("b1", "b2", book="another book"),
        replace(BATCH, view="another view"),
        replace(BATCH, opportunities=BATCH.opportunities[:1]),
        replace(BATCH, valuations=VALUED),
        replace(BATCH, sent=["something"]),
    ],
    ids=["book", "view", "accounts", "valuations", "sent"],
)
def test_whatever_else_it_was_made_from_voids_it(other: Few) -> None:
    ahead = PlanningAhead(PLANNER)
    assert ahead.guess(BATCH, DEEP)
    assert taken(ahead, other, DEEP) is None


def test_after_a_wrong_guess_none_is_made_until_one_would_have_been_right() -> None:
    ahead = PlanningAhead(PLANNER)
    assert ahead.guess(BATCH, DEEP)
    assert taken(ahead, again(), SHALLOW) is None
    assert ahead.guess(BATCH, DEEP) == ()
    assert taken(ahead, again(), DEEP) is None
    assert ahead.guess(BATCH, DEEP)


def test_behind_what_was_sent_nothing_is_guessed() -> None:
    ahead = PlanningAhead(PLANNER)
    sent: Any = ["something"]
    assert ahead.guess(replace(BATCH, sent=sent), DEEP) == ()
    assert ahead.guess(BATCH, DEEP)

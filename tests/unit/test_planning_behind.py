"""What is planned behind what was sent counts on it, known by its plans alone."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import field

from keeper.app.batch import Batch
from keeper.app.planning import PlannerDesk
from keeper.core.lending import AccountRef
from keeper.core.plan import Opportunity, Plan, Underlying
from keeper.core.values import replace
from keeper.planner.case import Case, Desk
from keeper.planner.planner import Planner
from keeper.planner.unwinding import Unwinding
from keeper.venues.unwinding.curve import Curve
from keeper.venues.unwinding.erc4626 import VaultBook
from tests.support.lending_desk import (
    BLOCK,
    USDC,
    VALUATION,
    WBTC,
    WETH,
    case_with,
    desk_of,
    markets,
    named,
    option_of,
    terms_of,
)

CASES = tuple(
    case_with(option_of(WBTC, USDC, dollars=10_000), account=named(f"b{number}"))
    for number in (1, 2)
)


def vault(most: int) -> VaultBook:
    """Return a vault of wrapped ether whose shares are seized as if they were WBTC."""
    return VaultBook(
        share=WBTC,
        underlying=Underlying(address=WETH, symbol="WETH", unit=10**18),
        gas=100_000,
        curve=Curve(assets=30 * 10**10, supply=1),
        most=most,
        held=10**30,
    )


def desk_with(book: VaultBook) -> Desk:
    pools = markets(50_000_000, [(WETH, USDC)])
    return replace(desk_of(*pools), unwinding=Unwinding(books={WBTC: book}))


class Still(Planner):
    """A planner whose desk is known."""

    known: Desk

    async def desk(self, *_: object, **__: object) -> Desk:
        return self.known


class Few(Batch[Any, Any], frozen=True, kw_only=True):
    """A batch whose cases are known."""

    known: dict[AccountRef, Case] = field(default_factory=dict)

    def case(self, opportunity: Opportunity) -> Case:
        return self.known[opportunity.ref]


def planning(desk: Desk) -> PlannerDesk[Any, Any]:
    planner = Still(terms=terms_of(), venues=(), lenders=())
    planner.known = desk
    chain: Any = SimpleNamespace(rollup=None, chain_id=1, priority_fee_wei=10**8)
    reader: Any = None
    return PlannerDesk(planner, reader, chain, max_gas_price=10**12)


def batch(sent: list[Plan]) -> Few:
    book: Any = SimpleNamespace(block=BLOCK, positions={})
    nothing: Any = None
    return Few(
        adapter=nothing,
        view=nothing,
        book=book,
        opportunities=[one.opportunity for one in CASES],
        valuations={one.opportunity.ref: VALUATION for one in CASES},
        part=1,
        sent=sent,
        known={one.opportunity.ref: one for one in CASES},
    )


async def sent_in_parts(desk: Desk) -> list[Plan]:
    sent = list[Plan]()
    async for joint, _ in planning(desk).plan(batch(sent)):
        sent += joint.plans
    return sent


def whole() -> int:
    """Return the shares that one account is liquidated for where there are enough."""
    found = Planner(terms=terms_of(), venues=(), lenders=()).plan(
        CASES[0], desk_with(vault(10**30))
    )
    assert isinstance(found, Plan)
    assert found.unwound is not None
    return found.unwound.shares


async def test_what_was_sent_leaves_the_next_ones_less_to_redeem() -> None:
    shares = whole()
    plans = await sent_in_parts(desk_with(vault(shares * 3 // 2)))
    first, second = (one.unwound.shares for one in plans if one.unwound)
    assert first == shares
    assert shares * 49 // 100 < second <= shares // 2


async def test_what_was_sent_may_leave_nothing_to_redeem() -> None:
    (plan,) = await sent_in_parts(desk_with(vault(whole())))
    assert plan.ref == CASES[0].opportunity.ref


@pytest.mark.parametrize("most", [10**30, 5])
def test_a_desk_behind_a_plan_is_the_one_that_the_plan_leaves(most: int) -> None:
    """And where less can be redeemed by now than what is in flight takes, nothing is left."""
    desk = desk_with(vault(10**30))
    plan, left = Planner(terms=terms_of(), venues=(), lenders=()).plan_next(CASES[0], desk)
    assert isinstance(plan, Plan)
    assert plan.unwound is not None
    found = desk_with(vault(most)).behind(plan)
    assert found.books == left.books
    book = found.unwinding.books[WBTC]
    assert isinstance(book, VaultBook)
    assert book.most == max(most - plan.unwound.shares, 0)
    assert (book.refusal is None) == (book.most > 0)

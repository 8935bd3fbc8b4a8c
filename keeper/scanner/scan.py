"""Assess every loan at the next block's timestamp and name those under the line.

``health_factor`` orders, ``liquidatable`` decides: the second is the protocol's own predicate in
its own integers.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import StaleError
from keeper.core.lending import AccountRef, Health, Reason, Rejection
from keeper.core.plan import Opportunity
from keeper.core.ports import Prices, ProtocolAdapter

M = TypeVar("M")
P = TypeVar("P")

NO_PAIR = "the protocol allows no pair of collateral and debt"


class Book(Struct, Generic[M, P], frozen=True, kw_only=True):
    """All that a scan looks at: the loans and the prices of one deployment."""

    block: BlockRef
    market: M
    positions: Mapping[AccountRef, P]
    prices: Prices
    problems: Mapping[str, str]
    """Feed id to why it may not be acted on."""
    moved: str = ""
    """Which prices moved since the book before, in words."""


class Scan(Struct, Generic[M], frozen=True, kw_only=True):
    """What a look at every loan found."""

    block: BlockRef
    timestamp: int
    view: M
    """The market accrued to ``timestamp`` and priced."""
    health: Mapping[AccountRef, Health]
    opportunities: tuple[Opportunity, ...]
    """Worst health first."""
    rejections: tuple[Rejection, ...]
    """Accounts under the line, or of unknown health, that may not be acted on."""


def scan(
    adapter: ProtocolAdapter[M, P],
    book: Book[M, P],
    *,
    number: int,
    timestamp: int,
    trigger: str,
) -> Scan[M]:
    """Assess every loan at the target block: its ``number`` and ``timestamp`` (unix seconds)."""
    view = adapter.at(book.market, block=number, timestamp=timestamp, prices=book.prices)
    return judge(adapter, view, book, timestamp=timestamp, trigger=trigger)


def judge(
    adapter: ProtocolAdapter[M, P], view: M, book: Book[M, P], *, timestamp: int, trigger: str
) -> Scan[M]:
    """Assess the book's loans in a view of its market at ``timestamp`` and at its prices."""
    health, unknown = _assess_all(adapter, view, book)
    opportunities: list[Opportunity] = []
    rejections = list(unknown)
    for ref, standing in health.items():
        if not standing.liquidatable:
            continue
        if bad := _problem(adapter, book, ref):
            rejections.append(_rejection(ref, book.block, Reason.PRICE_UNUSABLE, bad))
            continue
        options = adapter.options(view, book.positions[ref])
        if not options:
            rejections.append(_rejection(ref, book.block, Reason.NO_OPTION, _pairless(standing)))
            continue
        opportunity = Opportunity(
            ref=ref,
            block=book.block,
            timestamp=timestamp,
            health=standing,
            options=options,
            trigger=trigger,
        )
        opportunities.append(opportunity)
    return Scan(
        block=book.block,
        timestamp=timestamp,
        view=view,
        health=health,
        opportunities=tuple(sorted(opportunities, key=lambda one: one.health.health_factor)),
        rejections=tuple(rejections),
    )


def _assess_all(
    adapter: ProtocolAdapter[M, P], view: M, book: Book[M, P]
) -> tuple[dict[AccountRef, Health], list[Rejection]]:
    """Return the health of each account, and a rejection for each that cannot be known."""
    health: dict[AccountRef, Health] = {}
    unknown: list[Rejection] = []
    for ref, position in book.positions.items():
        try:
            health[ref] = adapter.assess(view, position)
        except StaleError as error:
            unknown.append(_rejection(ref, book.block, Reason.PRICE_UNUSABLE, str(error)))
    return health, unknown


def _problem(adapter: ProtocolAdapter[M, P], book: Book[M, P], ref: AccountRef) -> str | None:
    """Return why a price that the account depends on may not be acted on, or None."""
    bad = sorted(adapter.feeds_of(book.market, book.positions[ref]) & book.problems.keys())
    return book.problems[bad[0]] if bad else None


def _pairless(standing: Health) -> str:
    """Say why there is nothing to liquidate: no pair is allowed, or nothing is left to seize."""
    if standing.collateral_base == 0 and standing.debt_base > 0:
        return (
            f"no collateral is left that counts: bad debt of {standing.debt_base} "
            "in the market's base unit"
        )
    return NO_PAIR


def _rejection(ref: AccountRef, block: BlockRef, reason: Reason, detail: str) -> Rejection:
    return Rejection(ref=ref, block=block.number, reason=reason, detail=detail)

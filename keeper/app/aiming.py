"""Prices as the target block will have them, where time alone moves them.

A price that a vault is part of grows by the second: read at the head it is not yet the one that a
liquidation in the next block is reckoned at, and what is seized would differ by a few units from
what was planned. So it is asked for once more, in a simulated block after the head.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from keeper.app.growing import moved_by_time
from keeper.app.sight import Look
from keeper.core.lending import Feed, Rejection
from keeper.core.pending import Lead
from keeper.core.plan import Opportunity
from keeper.core.ports import Prices, ProtocolAdapter, Simulator
from keeper.core.values import replace
from keeper.oracle.asking_ahead import asked
from keeper.scanner.scan import judge

M = TypeVar("M")
P = TypeVar("P")


class Aimed(Struct, Generic[M], frozen=True, kw_only=True):
    """Opportunities judged at the target block's prices."""

    view: M
    opportunities: Sequence[Opportunity]
    rejections: Sequence[Rejection] = ()


class Aim(Generic[M, P]):
    """Looks at opportunities again, at the target block's own prices."""

    def __init__(
        self,
        adapter: ProtocolAdapter[M, P],
        simulator: Simulator,
        *,
        is_told: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Make an aim; ``is_told`` says of which feeds events tell the price, and nothing else."""
        self._is_told = is_told
        self._adapter = adapter
        self._simulator = simulator
        self._known: tuple[M, Sequence[Feed]] | None = None
        """A market, and its feeds that time alone moves."""

    def take(self, market: M) -> None:
        """Prepare for looks at a market: a large one has a hundred feeds."""
        self._by_time(market)

    async def at_target(
        self, look: Look[M, P], fresh: Sequence[Opportunity], lead: Lead | None = None
    ) -> Aimed[M]:
        """Return the opportunities at the prices of the target block.

        An account that no price of moves by time is as it was. So is any behind a lead: its prices
        are what that makes of them, and no block has them to be asked for. Raises TransientError or
        StaleError when the node does not answer.
        """
        feeds = self._moving(look, fresh) if lead is None else []
        prices = await self._prices(look, feeds) if feeds else {}
        if not prices:
            return Aimed(view=look.found.view, opportunities=fresh)
        return self._judged(look, fresh, prices)

    def moves(self, look: Look[M, P], fresh: Sequence[Opportunity]) -> bool:
        """Return whether the target block may have other prices for the opportunities."""
        return bool(self._moving(look, fresh))

    def _moving(self, look: Look[M, P], fresh: Sequence[Opportunity]) -> list[Feed]:
        """Return the feeds behind the opportunities that time alone moves."""
        market, positions = look.book.market, look.book.positions
        if not (moving := self._by_time(market)):
            return []
        wanted = {
            feed for one in fresh for feed in self._adapter.feeds_of(market, positions[one.ref])
        }
        return [one for one in moving if one.id in wanted and not self._is_told(one.id)]

    def _by_time(self, market: M) -> Sequence[Feed]:
        """Return the market's feeds that time alone moves."""
        if self._known is None or self._known[0] is not market:
            feeds = self._adapter.feeds(market)
            self._known = market, [one for one in feeds if one.moves_by_time]
        return self._known[1]

    async def _prices(self, look: Look[M, P], feeds: Sequence[Feed]) -> Prices:
        """Return the prices that will be other than at the head."""
        book = look.book
        values = await asked(self._simulator, feeds, book.block, look.found.timestamp)
        return moved_by_time(book.prices, values)

    def _judged(self, look: Look[M, P], fresh: Sequence[Opportunity], moved: Prices) -> Aimed[M]:
        book, found = look.book, look.found
        triggers: Mapping[object, str] = {one.ref: one.trigger for one in fresh}
        book = replace(
            book,
            positions={one.ref: book.positions[one.ref] for one in fresh},
            prices={**book.prices, **moved},
        )
        view = self._adapter.at(
            book.market,
            block=book.block.number + 1,
            timestamp=found.timestamp,
            prices=book.prices,
        )
        again = judge(self._adapter, view, book, timestamp=found.timestamp, trigger="")
        return Aimed(
            view=view,
            opportunities=[replace(one, trigger=triggers[one.ref]) for one in again.opportunities],
            rejections=again.rejections,
        )

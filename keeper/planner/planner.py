"""The planner: the most profitable plan of each account, or why there is none."""

import asyncio
import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence

from keeper.core.chain import BlockRef, Fees
from keeper.core.lending import Option, Reason, Rejection
from keeper.core.plan import Opportunity, Plan, SwapLeg
from keeper.core.ports import (
    Ask,
    FlashSource,
    LoanBook,
    SwapBook,
    SwapOffer,
    SwapVenue,
    Unwinder,
)
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.data_fees import FREE_DATA, DataFees
from keeper.planner.additions import terms_along
from keeper.planner.batch import merged
from keeper.planner.build import build_plan, least
from keeper.planner.case import Case, Desk
from keeper.planner.ceiling import Ceilings
from keeper.planner.forced import at_a_loss
from keeper.planner.lenders import Lenders
from keeper.planner.markets import Markets, repeated
from keeper.planner.next_one import first_of
from keeper.planner.offers import Chosen, ask_of, best_offered
from keeper.planner.refusals import gas_refusal, missed, refused, too_little
from keeper.planner.routing import pairs_needed
from keeper.planner.search import best_trades, closest
from keeper.planner.swap_legs import legs
from keeper.planner.trade import Miss, Terms, Trade
from keeper.planner.unwinding import Unwinding


class Planner:
    """Plans liquidations against venues and lenders. Only ``desk`` awaits; the rest is pure."""

    def __init__(
        self,
        *,
        terms: Terms,
        venues: Sequence[SwapVenue],
        lenders: Sequence[FlashSource],
        unwinders: Sequence[Unwinder] = (),
    ) -> None:
        self._terms = terms
        self._venues = tuple(venues)
        self._lenders = Lenders(lenders)
        self._unwinders = {one.share: one for one in unwinders}

    async def refresh(self, block: BlockRef) -> None:
        """Bring pools and lenders of late plans to ``block``: a desk there reads less."""
        venues = (venue.refresh(block) for venue in self._venues)
        await asyncio.gather(*venues, self._lenders.refresh(block))

    async def make_ready(self, options: Sequence[Option], block: BlockRef) -> None:
        """Read pools and lenders of the options at ``block``: a desk there of those asks little."""
        await self._books(self._pairs(options, {}), {one.debt for one in options}, block)

    async def desk(
        self,
        opportunities: Iterable[Opportunity],
        block: BlockRef,
        *,
        fees: Fees,
        base_fee: int,
        data_fees: DataFees = FREE_DATA,
    ) -> Desk:
        """Read what planning the opportunities depends on, as of ``block``.

        ``base_fee`` is that expected of the target block, in wei; ``data_fees`` what a rollup
        charges for data.
        """
        options = [option for one in opportunities for option in one.options]
        shares = sorted({one.collateral for one in options} & self._unwinders.keys())
        unwinders = [self._unwinders[one] for one in shares]
        sold = {one.share: await one.sold(block) for one in unwinders}
        pairs = self._pairs(options, sold)
        debts = {option.debt for option in options}
        redeemed, (books, loans) = await asyncio.gather(
            asyncio.gather(*(one.snapshot(block) for one in unwinders)),
            self._books(pairs, debts, block),
        )
        names = [venue.name for venue in self._venues]
        return Desk(
            block=block,
            books=dict(zip(names, books, strict=True)),
            loans=loans,
            fees=fees,
            base_fee=base_fee,
            data_fees=data_fees,
            unwinding=Unwinding(books=dict(zip(sold, redeemed, strict=True))),
        )

    def held_desk(
        self,
        opportunities: Iterable[Opportunity],
        block: BlockRef,
        *,
        fees: Fees,
        base_fee: int,
        data_fees: DataFees,
    ) -> Desk | None:
        """Return ``desk`` of what was read last, of whatever block, and reads nothing.

        None when something is missing, or has to be redeemed before it is swapped.
        """
        options = [option for one in opportunities for option in one.options]
        if self._unwinders.keys() & {one.collateral for one in options}:
            return None
        pairs = self._pairs(options, {})
        books = {venue.name: venue.held(pairs) for venue in self._venues}
        known = {name: book for name, book in books.items() if book is not None}
        loans = self._lenders.held(frozenset(one.debt for one in options))
        if loans is None or len(known) < len(books):
            return None
        return Desk(
            block=block,
            books=known,
            loans=loans,
            fees=fees,
            base_fee=base_fee,
            data_fees=data_fees,
        )

    async def _books(
        self, pairs: Collection[tuple[Address, Address]], debts: Iterable[Address], block: BlockRef
    ) -> tuple[list[SwapBook], tuple[LoanBook, ...]]:
        """Return the venues' books of the pairs, and the lenders' of the debts."""
        return await asyncio.gather(
            asyncio.gather(*(venue.snapshot(pairs, block) for venue in self._venues)),
            self._lenders.at(frozenset(debts), block),
        )

    def _pairs(
        self, options: Iterable[Option], sold: Mapping[Address, Address]
    ) -> set[tuple[Address, Address]]:
        """Return the pairs that are swapped between; ``sold`` names what is swapped of shares."""
        native = self._terms.native
        return {
            pair
            for one in options
            for pair in pairs_needed(sold.get(one.collateral, one.collateral), one.debt, native)
        }

    def plan(self, case: Case, desk: Desk) -> Plan | Rejection:
        """Return the plan with the greatest net, or the reason why there is none worth it."""
        found = self._choose(case, desk)
        return found if isinstance(found, Rejection) else self._plan(case, desk, found)

    def plan_all(self, cases: Sequence[Case], desk: Desk) -> list[Plan | Rejection]:
        """Plan accounts that compete for the same pools, in the order to send them.

        The most profitable one goes first, the next is quoted on what it leaves of the pools and
        of its market, and so on. Rejections come last; each was judged on what it would have found.
        """
        chosen, refused = self.choose_all(cases, desk)
        return [*(self.build(one) for one in chosen), *refused]

    def choose_all(
        self, cases: Sequence[Case], desk: Desk, markets: Markets | None = None
    ) -> tuple[list[Chosen], list[Rejection]]:
        """Return what ``plan_all`` makes its plans of, in the order to send them.

        ``markets`` are those that the desk is of, as liquidations before leave them.
        """
        markets = Markets() if markets is None else markets.copy()
        looked = [self._choose(markets.place(case), desk) for case in cases]
        refused = [one for one in looked if isinstance(one, Rejection)]
        queue = [(-one.net, i) for i, one in enumerate(looked) if isinstance(one, Trade)]
        heapq.heapify(queue)
        chosen = list[Chosen]()

        def look(index: int) -> Chosen | Rejection:
            case = markets.place(cases[index])
            found = self._choose(case, desk) if chosen else looked[index]
            if isinstance(found, Rejection):
                return found
            return Chosen(case=case, desk=desk, trade=found, alone=cases[index])

        while (one := first_of(queue, look, refused)) is not None:
            chosen.append(one)
            if queue:  # else nobody comes after it
                desk = one.trade.leave(desk)
                markets.take(one.case, one.trade.option, one.trade.steps, one.trade.funding)
        return chosen, refused

    def choose_again(
        self, chosen: Sequence[Chosen], desk: Desk, markets: Markets | None = None
    ) -> tuple[list[Chosen], list[Rejection]]:
        """Return the chosen as they are without others that were chosen among them.

        ``desk`` and ``markets`` are those before the first. A trade whose liquidations come out the
        same repays as much, with its swaps as they are quoted by now; any other is chosen anew, on
        what those before it leave.
        """
        kept, refused = list[Chosen](), list[Rejection]()
        markets = Markets() if markets is None else markets.copy()
        for one in chosen:
            case = markets.place(one.alone)
            again = repeated(case, desk, self._terms, one.trade)
            if again is not one.trade and again is not None and self._missing(case, again) > 0:
                again = None
            found = again or self._choose(case, desk)
            if isinstance(found, Rejection):
                refused.append(found)
                continue
            kept.append(
                one if found is one.trade else replace(one, case=case, desk=desk, trade=found)
            )
            desk = found.leave(desk)
            markets.take(case, found.option, found.steps, found.funding)
        return kept, refused

    def along(self) -> "Planner":
        """Return a planner of what goes along with others; it reads no desk of its own."""
        return Planner(terms=terms_along(self._terms), venues=(), lenders=())

    def build(self, chosen: Chosen) -> Plan:
        """Return the plan of a chosen trade."""
        return self._plan(chosen.case, chosen.desk, chosen.trade)

    def swaps_of(self, chosen: Chosen) -> tuple[SwapLeg, ...]:
        """Return the swaps of a chosen trade without an offer from outside."""
        return legs(chosen.trade)

    def merge(self, plans: Sequence[Plan], chosen: Sequence[Chosen], recipient: Address) -> Plan:
        """Return plans as one transaction; ``chosen`` are what they were made of."""
        return merged(plans, chosen, self._terms, recipient)

    def ask(self, chosen: Chosen) -> Ask | None:
        """Return what to ask of others for the trade's sale, None when it has none."""
        return ask_of(chosen, self._terms)

    def build_offered(self, chosen: Chosen, offers: Sequence[SwapOffer]) -> Plan:
        """Return the plan with the offer that nets the most, the local one when none gains."""
        local = self.build(chosen)
        best = best_offered(chosen, self._terms, offers)
        if best is None:
            return local
        return replace(self._plan(chosen.case, chosen.desk, best), local=local)

    def plan_next(self, case: Case, desk: Desk) -> tuple[Plan | Rejection, Desk]:
        """Plan one account, and return the desk as its plan leaves it, for whoever comes next."""
        found = self._choose(case, desk)
        if isinstance(found, Rejection):
            return found, desk
        return self._plan(case, desk, found), found.leave(desk)

    def ceilings(self, desk: Desk) -> Ceilings:
        """Return what accounts can bring at most at a desk."""
        return Ceilings(desk, self._terms)

    def plan_again(self, case: Case, ceilings: Ceilings) -> Plan | Rejection:
        """Plan an account that was refused before, if it may pay at all at the ceilings' desk."""
        desk = ceilings.desk
        refusal = gas_refusal(case, desk, self._terms.limits) or ceilings.refusal(case)
        return refusal or self.plan(case, desk)

    def _plan(self, case: Case, desk: Desk, best: Trade) -> Plan:
        return build_plan(case, desk, self._terms, best)

    def _choose(self, case: Case, desk: Desk) -> Trade | Rejection:
        """Return the best trade over all options, if it meets the limits."""
        refusal = gas_refusal(case, desk, self._terms.limits)
        if refusal is not None:
            return refusal
        results = best_trades(case, desk, self._terms, lambda one: self._missing(case, one) <= 0)
        if not results:
            return refused(case, Reason.NO_OPTION, "the protocol offers no pair to liquidate")
        good = [one for one in results if isinstance(one, Trade) and self._missing(case, one) <= 0]
        if not good and (forced := self._forced(case, desk)) is not None:
            return forced
        best = closest(good or results)
        if isinstance(best, Miss):
            return missed(case, best, self._terms.limits)
        return best if good else too_little(case, best, self._missing(case, best))

    def _forced(self, case: Case, desk: Desk) -> Trade | Rejection | None:
        """Return what is done at a loss, None where nothing is to be."""
        budget = self._terms.limits.max_forced_loss
        found = None if budget is None else at_a_loss(case, desk, self._terms, budget)
        if isinstance(found, Miss):
            return refused(case, found.reason, found.detail, found.net)
        return found

    def _missing(self, case: Case, best: Trade) -> int:
        """Return how many wei the trade is short of the least net; not positive when it is not."""
        counted = best.net - self._terms.limits.haircut(best.proceeds)
        return least(case, self._terms, best) - counted

"""Hand a batch of opportunities to the planner."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

from keeper.app.batch import Batch
from keeper.app.fees import data_fees_of, fees_of, open_desk
from keeper.app.made import Made, Merger
from keeper.app.planning_ahead import Planned, PlanningAhead, planned_of
from keeper.chain.errors import GasCappedError
from keeper.config.chain_file import ChainSettings
from keeper.core.chain import BlockRef, next_base_fee
from keeper.core.errors import RefusedError
from keeper.core.joint import Addition, Joint
from keeper.core.lending import Option, Rejection
from keeper.core.plan import Opportunity, Plan
from keeper.core.ports import Ask, OfferDesk, Reader
from keeper.core.units import Address
from keeper.planner.additions import after, only_along, worth_a_look
from keeper.planner.case import Case, Desk, case_of
from keeper.planner.markets import Markets
from keeper.planner.offers import Chosen
from keeper.planner.planner import Planner

M = TypeVar("M")
P = TypeVar("P")

PART: Final = 16
"""So many accounts are planned before the first are sent, where anything is sent."""
MOST_ADDED: Final = 4
"""So many of the refused are planned once more, to go along: others wait for it."""

Part = tuple[Joint, list[Rejection]]
"""Plans made together, and why others are not taken."""


class Planning(Protocol[M, P]):
    """Turns a batch into plans and rejections. Implemented over ``keeper.planner``."""

    def plan(self, batch: Batch[M, P]) -> AsyncGenerator[Part, None]:
        """Yield plans in the order to send them, and why the others are not taken."""
        ...

    def plan_each(self, batch: Batch[M, P]) -> AsyncGenerator[Plan | Rejection, None]:
        """Yield each account's plan or rejection in turn, letting others run between."""
        ...

    def guess(self, batch: Batch[M, P]) -> Sequence[Plan]:
        """Return what ``plan`` of the batch will probably begin with, and read nothing."""
        ...

    async def desk(self, opportunities: Sequence[Opportunity], block: BlockRef) -> Desk:
        """Read what planning the opportunities depends on, at the fees of the next block."""
        ...

    def plan_next(self, case: Case, desk: Desk) -> tuple[Plan | Rejection, Desk]:
        """Plan one account, and return the desk as its plan leaves it."""
        ...

    async def refresh(self, block: BlockRef) -> None:
        """Read at ``block`` what planning after it is likely to need."""
        ...

    async def make_ready(self, options: Sequence[Option], block: BlockRef) -> None:
        """Read at ``block`` all that planning the options there needs, at once."""
        ...


class PlannerDesk(Generic[M, P]):
    """Plans batches at the fees of the block after theirs."""

    def __init__(
        self,
        planner: Planner,
        reader: Reader,
        chain: ChainSettings,
        *,
        max_gas_price: int,
        offers: OfferDesk | None = None,
        recipient: Address | None = None,
    ) -> None:
        """Take the operator's cap in wei per gas, and who is asked for better sales.

        ``recipient`` is the executor contract's, to make one transaction of several plans; without
        it each goes alone.
        """
        self._planner = planner
        self._chain = chain
        self._max_gas_price = max_gas_price
        self._offers = offers
        self._recipient = recipient
        self._ahead = PlanningAhead(planner)
        self._data_fees = data_fees_of(reader, chain)

    def guess(self, batch: Batch[M, P]) -> Sequence[Plan]:
        """Return what ``plan`` of the batch will probably begin with, and read nothing.

        Nothing where others are asked for offers: nobody knows what they say.
        """
        block = batch.book.block
        if self._offers is not None:
            return ()
        try:
            fees = fees_of(self._chain, block, self._max_gas_price)
        except GasCappedError:
            return ()
        desk = self._planner.held_desk(
            batch.opportunities,
            block,
            fees=fees,
            base_fee=next_base_fee(block),
            data_fees=self._data_fees.known,
        )
        return () if desk is None else self._ahead.guess(batch, desk)

    async def desk(self, opportunities: Sequence[Opportunity], block: BlockRef) -> Desk:
        """Read what planning the opportunities depends on, at the fees of the next block.

        Raises GasCappedError when gas costs more than the operator's cap.
        """
        return await open_desk(
            self._planner,
            self._chain,
            opportunities=opportunities,
            block=block,
            data_fees=await self._data_fees.at(block),
            max_gas_price=self._max_gas_price,
        )

    def plan_next(self, case: Case, desk: Desk) -> tuple[Plan | Rejection, Desk]:
        """Plan one account, and return the desk as its plan leaves it."""
        return self._planner.plan_next(case, desk)

    async def refresh(self, block: BlockRef) -> None:
        """Bring the pools and lenders of late plans to ``block``."""
        await self._planner.refresh(block)

    async def make_ready(self, options: Sequence[Option], block: BlockRef) -> None:
        """Read the pools and lenders of the options, and what data costs, at ``block``."""
        planner = self._planner
        await asyncio.gather(planner.make_ready(options, block), self._data_fees.at(block))

    async def plan(self, batch: Batch[M, P]) -> AsyncGenerator[Part, None]:
        """Yield plans in sending order and rejections, the largest debts in the first part.

        Each part is planned on what those sent before it leave of the pools and of the market. Only
        for the first is anybody else asked for offers. Raises GasCappedError when gas costs more
        than the operator's cap.
        """
        behind = _Behind(batch, await self.desk(batch.opportunities, batch.book.block))
        for number, opportunities in enumerate(batch.parts()):
            desk, markets = behind.now(), behind.markets
            cases = batch.cases(opportunities)
            planned = self._ahead.taken(batch, opportunities, desk)
            if planned is None:
                planned = await self._planned(cases, behind, is_first=number == 0)
            chosen, rejected = planned.chosen, planned.rejected
            made = Made(self._planner, chosen, desk, markets)
            extra: list[Addition] = []
            close = worth_a_look(rejected, desk, MOST_ADDED)
            if self._recipient is not None and chosen and close:
                extra = self._additions(made, cases, close, after(chosen, desk, markets))
            joint = Joint(
                plans=planned.plans, remake=made.again, merging=self._merger(made), additions=extra
            )
            spared = [one.alone for one in extra]
            yield joint, [one for one in rejected if one not in spared]

    def _additions(
        self,
        made: Made,
        cases: Sequence[Case],
        close: Sequence[Rejection],
        left: tuple[Desk, Markets],
    ) -> list[Addition]:
        """Return plans of those of the refused that others may take along."""
        desk, markets = left
        alone = {one.ref: one for one in close}
        planner = self._planner.along()
        added, _ = planner.choose_all(list(only_along(cases, alone)), desk, markets)
        made.also(added)
        plans = [planner.build(one) for one in added]
        return [Addition(plan=plan, alone=alone[plan.ref]) for plan in plans]

    def _merger(self, made: Made) -> Merger | None:
        if self._recipient is None:
            return None
        return Merger(self._planner, made, self._recipient)

    async def _planned(
        self, cases: Sequence[Case], behind: "_Behind[M, P]", *, is_first: bool
    ) -> Planned:
        """Return what is made of the cases behind what was sent, with offers for the first."""
        desk, markets = behind.now(), behind.markets
        if self._offers is None or not is_first:
            return planned_of(self._planner, cases, desk, markets)
        chosen, rejected = self._planner.choose_all(cases, desk, markets)
        plans = await with_offers(self._planner, chosen, self._offers)
        return Planned(chosen=chosen, rejected=rejected, plans=plans)

    async def plan_each(self, batch: Batch[M, P]) -> AsyncGenerator[Plan | Rejection, None]:
        """Yield each account's plan or rejection, on what those sent before it leave.

        One that cannot pay at any amount is not searched for the best one, and nobody else is asked
        for offers. Raises GasCappedError when gas costs more than the operator's cap.
        """
        behind = _Behind(batch, await self.desk(batch.opportunities, batch.book.block))
        ceilings = self._planner.ceilings(behind.now())
        for one in batch.opportunities:
            if (desk := behind.now()) is not ceilings.desk:
                ceilings = self._planner.ceilings(desk)
            case = behind.markets.place(batch.case(one))
            yield self._planner.plan_again(case, ceilings)
            await asyncio.sleep(0)


class _Behind(Generic[M, P]):
    """The desk and the markets behind what was sent, which may grow."""

    def __init__(self, batch: Batch[M, P], desk: Desk) -> None:
        """Start with a desk of the batch's block."""
        self._batch = batch
        self._desk = desk
        self._counted = 0
        self.markets = Markets()

    def now(self) -> Desk:
        """Return the desk behind all that was sent by now; ``markets`` are then as well."""
        for plan in self._batch.sent[self._counted :]:
            self._desk = self._desk.behind(plan)
            self._pass(plan)
            self._counted += 1
        return self._desk

    def _pass(self, plan: Plan) -> None:
        batch, position = self._batch, self._batch.book.positions.get(plan.ref)
        if position is None:
            return
        case = case_of(
            batch.adapter,
            batch.view,
            position,
            opportunity=plan.opportunity,
            valuation=plan.valuation,
        )
        with suppress(RefusedError):  # not there any more; each plan is rehearsed behind it
            case = self.markets.place(case)
            self.markets.take(case, plan.option, plan.liquidations, plan.funding)


async def with_offers(planner: Planner, chosen: Sequence[Chosen], offers: OfferDesk) -> list[Plan]:
    """Return the plans of chosen trades, with offers from outside where they gain.

    Of the sales of one asset only the most profitable account's is asked about: the next one
    would be told the same price, and not get it.
    """
    asks: dict[Address, tuple[int, Ask]] = {}
    for place, one in enumerate(chosen):
        ask = planner.ask(one)
        if ask is not None:
            asks.setdefault(ask.token_in, (place, ask))
    found = await asyncio.gather(*(offers.offers(ask) for _, ask in asks.values()))
    got = {place: many for (place, _), many in zip(asks.values(), found, strict=True)}
    return [planner.build_offered(one, got.get(place, ())) for place, one in enumerate(chosen)]

"""A deployment at one block with all that is needed to plan on it, without a daemon."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from msgspec import Struct

from keeper.app.addresses import require_contracts
from keeper.app.books import valuation
from keeper.app.builders import (
    REACH_TICKS,
    decoders_for,
    lenders_for,
    planner_for,
    reference_of,
)
from keeper.app.executor_contract import ExecutorContract, pretend, read_executor
from keeper.app.fees import data_fees_of, open_desk
from keeper.app.look import too_old
from keeper.app.opening import adapters, opened_chain
from keeper.app.prices import watcher_for
from keeper.app.refusals import refused
from keeper.chain.session import Chain
from keeper.config.settings import Settings
from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError, StaleError
from keeper.core.lending import AccountRef, Reason, Rejection, Valuation
from keeper.core.plan import Opportunity, Plan
from keeper.core.ports import Prices, ProtocolAdapter
from keeper.core.units import Address
from keeper.executor.dividing import Decoders
from keeper.mirror.mirror import Mirror, Progress
from keeper.oracle.book import PriceBook
from keeper.planner.case import Case, Desk, case_of
from keeper.planner.planner import Planner
from keeper.scanner.scan import Book, Scan, scan

M = TypeVar("M")
P = TypeVar("P")


class Study(Struct, Generic[M, P], frozen=True, kw_only=True):
    """One deployment at a block: its market and prices, and a planner for its chain."""

    settings: Settings
    chain: Chain
    contract: ExecutorContract
    adapter: ProtocolAdapter[M, P]
    planner: Planner
    decoders: Decoders
    block: BlockRef
    market: M
    prices: PriceBook
    reference: Mapping[Address, int]
    """Prices of the chain's reference feeds, by asset."""

    @property
    def target(self) -> int:
        """Timestamp of the block that a plan would aim at, unix seconds."""
        return self.block.timestamp + self.settings.chain.block_time_s

    @property
    def anybody(self) -> AccountRef:
        """A place in the market where nobody is, for what does not depend on the account."""
        return self.adapter.refs_of(self.market, self.contract.address)[0]

    async def everyone(self, progress: Progress) -> Mapping[AccountRef, P]:
        """Read every account with debt, discovered from the logs."""
        mirror: Mirror[M, P] = Mirror(self.adapter, self.chain.reader)
        return (await mirror.start(self.block, None, progress)).positions

    async def positions(self, refs: Sequence[AccountRef]) -> dict[AccountRef, P]:
        """Read positions at the block; those without debt are left out."""
        reader = self.chain.reader
        read = await self.adapter.read_positions(reader, self.block, self.market, refs)
        return {ref: one for ref, one in read.items() if self.adapter.has_debt(self.market, one)}

    def scan(self, positions: Mapping[AccountRef, P], prices: Prices) -> Scan[M]:
        """Assess positions at the target block's timestamp and at ``prices``."""
        book = Book(
            block=self.block,
            market=self.market,
            positions=positions,
            prices=prices,
            problems=self.prices.problems,
        )
        return scan(
            self.adapter,
            book,
            number=self.block.number + 1,
            timestamp=self.target,
            trigger="a study",
        )

    async def desk(self, opportunities: Sequence[Opportunity]) -> Desk:
        """Read the pools and loans that planning the opportunities needs."""
        chain = self.settings.chain
        return await open_desk(
            self.planner,
            chain,
            opportunities=opportunities,
            block=self.block,
            data_fees=await data_fees_of(self.chain.reader, chain).at(self.block),
        )

    def plan(
        self, found: Scan[M], positions: Mapping[AccountRef, P], desk: Desk
    ) -> list[Plan | Rejection]:
        """Plan every opportunity of a scan jointly; one whose market has no price has no plan."""
        cases, unvalued = self._valued(found, positions)
        return [*self.planner.plan_all(cases, desk), *unvalued]

    def cases(self, found: Scan[M], positions: Mapping[AccountRef, P]) -> list[Case]:
        """Return what every opportunity of a scan is planned from, where its market has a price."""
        return self._valued(found, positions)[0]

    def _valued(
        self, found: Scan[M], positions: Mapping[AccountRef, P]
    ) -> tuple[list[Case], list[Rejection]]:
        """Return the cases of a scan, and whom no price is known for in coin: others go on."""
        cases: list[Case] = []
        unvalued: list[Rejection] = []
        for one in found.opportunities:
            try:
                value = self.value(found.view, one.ref)
            except StaleError as error:
                unvalued.append(refused(one, Reason.PRICE_UNUSABLE, error))
                continue
            cases.append(
                case_of(
                    self.adapter,
                    found.view,
                    positions[one.ref],
                    opportunity=one,
                    valuation=value,
                )
            )
        return cases, unvalued

    def value(self, view: M, ref: AccountRef) -> Valuation:
        """Return the prices of an account's market in a view, and of the native coin."""
        return valuation(
            self.adapter,
            view,
            self.settings.chain.wrapped_native,
            market=ref.market,
            reference=self.reference,
        )


@asynccontextmanager
async def studies(
    settings: Settings, *, block: int | None = None, reach_ticks: int = REACH_TICKS
) -> AsyncIterator[list[Study[Any, Any]]]:
    """Open the chain and read every enabled deployment at a block (the head when None).

    ``reach_ticks`` is how far around their price the planner reads pools.
    Raises ConfigError when the node does not know the block's state, and, when the others have had
    their turn, for a deployment that cannot be read.
    """
    async with opened_chain(settings) as chain:
        head = await chain.reader.head()
        await require_contracts(settings, chain.reader, head)
        if block is not None:
            head = await _older(chain, block, head)
        contract = pretend(settings.recipient)
        if settings.executor is not None:
            contract = await read_executor(chain.reader, settings.executor, head)
        found: list[Study[Any, Any]] = []
        refused: list[ConfigError] = []
        for one in adapters(settings):
            try:
                found.append(await _study(settings, chain, contract, one, head, reach_ticks))
            except StaleError as error:
                raise too_old(head, error) from error
            except ConfigError as error:
                refused.append(error)
        if found or not refused:
            yield found
        if refused:
            raise ConfigError("\n".join(map(str, refused)))


async def _older(chain: Chain, number: int, head: BlockRef) -> BlockRef:
    if number > head.number:
        msg = f"--block: expected at most the head, {head.number}, found {number}"
        raise ConfigError(msg)
    return await chain.reader.block(number)


async def _study(
    settings: Settings,
    chain: Chain,
    contract: ExecutorContract,
    adapter: ProtocolAdapter[M, P],
    block: BlockRef,
    reach_ticks: int,
) -> Study[M, P]:
    reader = chain.reader
    market = await adapter.read_market(reader, block, None, None)
    watcher = watcher_for(settings, adapter.deployment, reader)
    await watcher.follow(adapter.feeds(market), block)
    lenders = lenders_for(settings.chain, reader, contract.address)
    planner = planner_for(
        settings, reader, contract, lenders, adapter.deployment, reach_ticks=reach_ticks
    )
    native = settings.chain.wrapped_native
    return Study(
        settings=settings,
        chain=chain,
        contract=contract,
        adapter=adapter,
        planner=planner,
        decoders=decoders_for(adapter, lenders, native, contract.recipient)(market),
        block=block,
        market=market,
        prices=await watcher.read(block, None),
        reference=await reference_of(settings.chain, reader).read(block),
    )

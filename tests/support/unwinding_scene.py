"""Loans against shares on an anvil of their own, and what a planner that redeems sees of them."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from keeper.app.aiming import Aim, Aimed
from keeper.app.books import valuation
from keeper.app.sight import Look
from keeper.chain.fees import fees_for
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import BlockRef, next_base_fee
from keeper.core.lending import Price
from keeper.core.plan import Opportunity, Plan
from keeper.core.tick import Tick
from keeper.devnet.prices import oracle_prices
from keeper.executor.dividing import Decoders
from keeper.executor.rehearse import Stage, rehearse
from keeper.planner.case import Case, Desk, case_of
from keeper.planner.costs import GasModel, Limits
from keeper.planner.planner import Planner
from keeper.planner.trade import Terms
from keeper.protocols.morpho_blue.adapter import MorphoAdapter
from keeper.protocols.morpho_blue.state import MorphoMarket
from keeper.scanner.scan import Book, scan
from keeper.venues.uniswap_v3.venue import UniswapV3Settings, UniswapV3Venue
from tests.support.executor_stage import RECIPIENT
from tests.support.market_node import MarketNode, built_market, copied_market
from tests.support.pledged_shares import Pledged, pledged

NEXT_BLOCK_S = 12
GWEI = 10**9
BORROWERS = 40
RELEASES = ("3.0", "3.6")
"""Of Aave."""
VAULTS = ("plain", "offset", "native", "same", "for ether", "fee", "moody")
ATOKENS = ("aWBTC", "aWETH")
"""Pledges by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What there is to liquidate at the newest block, and what it is planned at."""

    block: BlockRef
    chain: Chain
    view: MorphoMarket
    adapter: MorphoAdapter
    cases: Mapping[str, Case]
    """By the pledge's name."""
    desk: Desk
    planner: Planner
    terms: Terms

    def stage(self) -> Stage:
        """Return what a rehearsal at the target block stands on."""
        timestamp = self.block.timestamp + NEXT_BLOCK_S
        return Stage(head=self.block, timestamp=timestamp, ahead=(), overrides={})

    def decoders(self) -> Decoders:
        """Return how to read the transactions."""
        return Decoders(
            liquidations=lambda logs: self.adapter.decode(self.view, logs),
            flash_fee=lambda _: None,
            wrapped_native=self.terms.native,
            recipient=RECIPIENT,
        )

    def plan(self, name: str) -> Plan:
        """Return the plan of a pledge, which must have one."""
        found = self.planner.plan(self.cases[name], self.desk)
        assert isinstance(found, Plan), found
        return found

    def refusal(self, name: str) -> str:
        """Return why a pledge has no plan."""
        found = self.planner.plan(self.cases[name], self.desk)
        assert not isinstance(found, Plan), found
        return f"{found.reason}: {found.detail}"


async def look(pledged: Pledged, chain: Chain, *, is_aimed: bool = True) -> Sight:
    """Read the loans at the newest block, with the target block's prices, and open a desk."""
    adapter, reader, live = pledged.adapter(), chain.reader, pledged.live
    block = await reader.head()
    market = await adapter.read_market(reader, block, None, None)
    wanted = adapter.discovery_filter(market)
    logs = await reader.logs_between(wanted, pledged.start_block, block.number)
    refs = sorted(adapter.touched(market, logs).accounts)
    positions = await adapter.read_positions(reader, block, market, refs)
    book = Book(
        block=block,
        market=market,
        positions=positions,
        prices=await _prices(adapter, market, chain, block),
        problems={},
    )
    found = scan(
        adapter,
        book,
        number=block.number + 1,
        timestamp=block.timestamp + NEXT_BLOCK_S,
        trigger="the fall",
    )
    aimed = Aimed(view=found.view, opportunities=found.opportunities)
    if is_aimed:
        whole = Look(book=book, held_at=book.block, found=found, tick=Tick())
        aimed = await Aim(adapter, chain.simulator).at_target(whole, found.opportunities)
    terms = Terms(
        executor=pledged.executor.address,
        operator=live.market.accounts.keeper,
        native=live.market.weth,
        limits=Limits(min_profit=10**15, max_gas_price=1000 * GWEI),
        gas=GasModel(),
    )
    planner = Planner(
        terms=terms, venues=(_venue(pledged, chain),), lenders=(),
        unwinders=pledged.unwinders(chain),
    )  # fmt: skip
    desk = await planner.desk(
        aimed.opportunities,
        block,
        fees=fees_for(block, priority_fee=GWEI),
        base_fee=next_base_fee(block),
    )
    return Sight(
        block=block,
        chain=chain,
        view=aimed.view,
        adapter=adapter,
        cases=_cases(pledged, adapter, aimed.view, book, aimed.opportunities),
        desk=desk,
        planner=planner,
        terms=terms,
    )


def _cases(
    pledged: Pledged,
    adapter: MorphoAdapter,
    view: MorphoMarket,
    book: Book[MorphoMarket, object],
    opportunities: Sequence[Opportunity],
) -> dict[str, Case]:
    live = pledged.live
    reference = {live.tokens[name].address: price for name, price in oracle_prices(live).items()}
    names = {one.key: one.name for one in pledged.pledges.values()}
    return {
        names[one.ref.market]: case_of(
            adapter,
            view,
            book.positions[one.ref],
            opportunity=one,
            valuation=valuation(
                adapter, view, live.market.weth, market=one.ref.market, reference=reference
            ),
        )
        for one in opportunities
    }


async def _prices(
    adapter: MorphoAdapter, market: MorphoMarket, chain: Chain, block: BlockRef
) -> dict[str, Price]:
    feeds = adapter.feeds(market)
    answers = await chain.reader.call_many([feed.read for feed in feeds], block)
    return {
        feed.id: Price(
            value=int.from_bytes(answer.data), block=block.number, updated_at=block.timestamp
        )
        for feed, answer in zip(feeds, answers, strict=True)
    }


def _venue(pledged: Pledged, chain: Chain) -> UniswapV3Venue:
    market = pledged.live.market
    settings = UniswapV3Settings(
        factory=market.uniswap_factory,
        fees=(100, 500, 3_000, 10_000),
        intermediates=(market.weth, market.asset("USDC").token),
    )
    return UniswapV3Venue(chain.reader, settings)


@contextmanager
def ground_of(aave: str, binary: Path, local_market: MarketNode) -> Iterator[Pledged]:
    """Build the pledges on a market of that release of Aave."""
    if aave == local_market.market.aave:
        with copied_market(binary, local_market) as node:
            yield pledged(node)
        return
    with built_market(binary, seed=5, borrowers=BORROWERS, aave=aave) as node:
        yield pledged(node)


@contextmanager
def undone(built: Pledged) -> Iterator[Pledged]:
    """Undo what is done to the built market."""
    mark = built.live.rpc.call("evm_snapshot")
    yield built
    built.live.rpc.call("evm_revert", mark)


@asynccontextmanager
async def opened(ground: Pledged) -> AsyncIterator[Chain]:
    """Open the chain that the pledges are on."""
    market = ground.node.market
    options = ChainOptions(chain_id=market.chain_id, multicall3=market.multicall3)
    async with open_chain(ground.node.anvil.http_url, options) as chain:
        yield chain


@asynccontextmanager
async def seen(ground: Pledged) -> AsyncIterator[Sight]:
    """Look at the newest block."""
    async with opened(ground) as chain:
        yield await look(ground, chain)


async def rehearsed(sight: Sight, *plans: Plan) -> list[Plan]:
    """Return the plans as the executor would send them: their exact transactions were run."""
    held, failed = await rehearse(plans, sight.chain.simulator, sight.stage(), sight.decoders())
    assert not failed, failed
    return held

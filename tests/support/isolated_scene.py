"""Venus's isolated pools seen twice: by the adapter, and by asking the contracts themselves."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from keeper.chain.anvil import Anvil, AnvilOptions, start_anvil
from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import BlockRef, Log, Simulated, Transaction
from keeper.core.lending import AccountRef, Option, Price, SeizeQuote
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.devnet.build import build_market
from keeper.devnet.isolated_build import build_isolated
from keeper.devnet.isolated_market import LiveIsolated, LocalIsolated, open_isolated
from keeper.devnet.live import open_live
from keeper.devnet.market import LocalMarket
from keeper.evm.words import ask_address, int_at, selector, word_of_int
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.registry import adapter_for
from keeper.protocols.venus_isolated import calls, rules
from keeper.protocols.venus_isolated.adapter import IsolatedAdapter
from keeper.protocols.venus_isolated.case import Case, Way, cases_of, chosen
from keeper.protocols.venus_isolated.health import snapshot, terms_of
from keeper.protocols.venus_isolated.refusals import PoolRefusedError, Refusal
from keeper.protocols.venus_isolated.state import Deployment, Position
from tests.support.market_node import copied_node

BORROWERS = 45
SEED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedNode:
    """A running anvil with the pools on it."""

    anvil: Anvil
    market: LocalMarket
    live: LiveIsolated

    @property
    def isolated(self) -> LocalIsolated:
        return self.live.isolated


@contextmanager
def built_isolated(binary: Path, *, by_second: bool) -> Iterator[IsolatedNode]:
    """Build a market and the pools on a fresh anvil."""
    with start_anvil(binary, AnvilOptions(ipc=True)) as anvil:
        market = build_market(anvil.http_url, seed=SEED, borrowers=0)
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            made = build_isolated(live, seed=SEED, borrowers=BORROWERS, by_second=by_second)
            yield IsolatedNode(anvil=anvil, market=market, live=open_isolated(made, live))


@contextmanager
def copied_isolated(binary: Path, base: IsolatedNode) -> Iterator[IsolatedNode]:
    """Copy it to a node of its own: what is done there does not reach the base."""
    with copied_node(binary, base, base.live.live.rpc) as anvil:
        live = open_live(base.market, anvil.http_url)
        with closing(live.rpc):
            pools = open_isolated(base.isolated, live)
            yield IsolatedNode(anvil=anvil, market=base.market, live=pools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the adapter knows of the pools at a block."""

    block: BlockRef
    market: Deployment
    positions: Mapping[AccountRef, Position]
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A chain that is open, and the adapter of the pools on it."""

    chain: Chain
    adapter: IsolatedAdapter
    live: LiveIsolated

    @property
    def supplier(self) -> Address:
        return self.live.live.market.accounts.supplier

    async def look(self, extra: Iterable[AccountRef] = ()) -> Look:
        """Read everything anew at the newest block."""
        reader = self.chain.reader
        block = await reader.head()
        market = await self.adapter.read_market(reader, block, None, None)
        wanted = self.adapter.discovery_filter(market)
        logs = await reader.logs_between(wanted, self.adapter.start_block, block.number)
        refs = sorted({*self.adapter.touched(market, logs).accounts, *extra})
        positions = await self.adapter.read_positions(reader, block, market, refs)
        prices = await self._prices(market, block)
        return Look(block=block, market=market, positions=positions, prices=prices)

    async def follow(self, before: Look) -> Look:
        """Read only what the logs since ``before`` touched."""
        reader = self.chain.reader
        block = await reader.head()
        wanted = self.adapter.log_filter(before.market)
        logs = await reader.logs_between(wanted, before.block.number + 1, block.number)
        touched = self.adapter.touched(before.market, logs)
        market = await self.adapter.read_market(reader, block, before.market, touched)
        fresh = await self.adapter.read_positions(reader, block, market, sorted(touched.accounts))
        return Look(
            block=block,
            market=market,
            positions={**before.positions, **fresh},
            prices=await self._prices(market, block),
        )

    async def _prices(self, market: Deployment, block: BlockRef) -> dict[str, Price]:
        feeds = self.adapter.feeds(market)
        answers = await self.chain.reader.call_many([feed.read for feed in feeds], block)
        return {
            feed.id: Price(
                value=int_at(answer.data, 0), block=block.number, updated_at=block.timestamp
            )
            for feed, answer in zip(feeds, answers, strict=True)
        }

    def view(self, look: Look, *, ahead: int = 0) -> Deployment:
        """Return the deployment so many blocks after the look."""
        return self.adapter.at(
            look.market,
            block=look.block.number + ahead,
            timestamp=look.block.timestamp + 12 * ahead,
            prices=look.prices,
        )

    async def run(self, look: Look, *calls: tuple[Address, bytes]) -> list[Simulated]:
        """Run calls of somebody with tokens of every kind in the next block, and undo them."""
        return await self.chain.simulator.simulate(
            [Transaction(sender=self.supplier, to=to, data=data) for to, data in calls],
            base=look.block,
            timestamp=look.block.timestamp + 12,
            base_fee=0,
            overrides={},
        )


@asynccontextmanager
async def open_scene(node: IsolatedNode) -> AsyncIterator[Scene]:
    """Open the chain and make the adapter of the deployment."""
    adapter = adapter_for(
        "venus_isolated",
        deployment="venus_isolated.local",
        start_block=node.isolated.start_block,
        parameters={"pool_registry": node.isolated.registry},
    )
    assert isinstance(adapter, IsolatedAdapter)
    options = ChainOptions(chain_id=node.market.chain_id, multicall3=node.market.multicall3)
    async with open_chain(node.anvil.http_url, options) as chain:
        yield Scene(chain=chain, adapter=adapter, live=node.live)


async def differences(scene: Scene, look: Look) -> list[str]:
    """Return the accounts of which the adapter says other than their Comptroller.

    As stored at the look's block, and as everything accrued in the next one would leave them.
    """
    refs = sorted(look.positions)
    asked = [
        ask_address(Address(one.market), family.GET_ACCOUNT_LIQUIDITY, one.account) for one in refs
    ]
    stored = await scene.chain.reader.call_many(asked, look.block)
    accruals = [(one.token, family.ACCRUE_INTEREST) for one in look.market.markets.values()]
    done = await scene.run(look, *accruals, *((one.to, one.data) for one in asked))
    now, later = scene.view(look), scene.view(look, ahead=1)
    found = []
    for ref, before, after in zip(refs, stored, done[len(accruals) :], strict=True):
        position = look.positions[ref]
        everything = [one.market for one in position.entries]
        mine = (
            snapshot(terms_of(now, position), ()).shortfall,
            snapshot(terms_of(later, position), everything).shortfall,
        )
        theirs = tuple(
            int_at(data, 2) - int_at(data, 1) for data in (before.data, after.return_data)
        )
        if mine != theirs:
            found.append(f"{ref.account}: expected {theirs}, found {mine}")
    return found


async def judge(
    scene: Scene, look: Look, ref: AccountRef, option: Option, repay: int
) -> SeizeQuote | Refusal:
    """Assert that the pools do in the next block what the adapter says; return what it said."""
    view, position = scene.view(look, ahead=1), look.positions[ref]
    try:
        quote = scene.adapter.seize(view, position, option, repay)
    except PoolRefusedError as e:
        assert_refused(await scene.run(look, *tried(view, position, option, ref, repay)), e.refusal)
        return e.refusal
    made = scene.adapter.calls(view, ref, option, quote, scene.supplier)
    liquidating = [(one.target, one.data) for one in made[:-1]]
    case = chosen(view, position, option)
    spoils = (case.collateral.token, family.REDEEM + word_of_int(ours(case, repay)))
    done = await scene.run(look, *liquidating, spoils)
    assert all(one.success for one in done), (option.key, [one.return_data for one in done])
    (found,) = scene.adapter.decode(view, one_transaction(done))
    assert found.ref == ref
    assert found.liquidator == scene.supplier
    assert (found.collateral, found.debt) == (option.collateral, option.debt)
    assert (found.repaid, found.seized, found.protocol_fee) == (
        quote.repay,
        quote.seized,
        quote.protocol_fee,
    )
    return quote


def ours(case: Case, repay: int) -> int:
    """Return the cTokens that reach the liquidator."""
    tokens = case.seized(repay)
    share = case.collateral.seize_share
    return tokens - rules.protocol_tokens(tokens, share=share, incentive=case.pool.incentive)


def tried(
    view: Deployment, position: Position, option: Option, ref: AccountRef, repay: int
) -> Sequence[tuple[Address, bytes]]:
    """Return the calls of an offer that is refused: they are made all the same."""
    quote = SeizeQuote(repay=repay, seized=0, protocol_fee=0)
    case = chosen(view, position, option)
    made = calls.liquidating(view, ref.account, option, quote)
    redeem = (case.collateral.token, family.REDEEM + word_of_int(ours(case, repay)))
    return [*((one.target, one.data) for one in made[:-1]), redeem]


def assert_refused(done: Sequence[Simulated], refusal: Refusal) -> None:
    """Assert that the calls revert, the first that does for that reason."""
    if refusal is Refusal.NOT_THE_SHARE:
        return
    failed = [one for one in done if not one.success]
    assert failed, refusal
    data = failed[0].return_data
    known = selector(refusal.value) if refusal.value.endswith(")") else refusal.value.encode()
    assert known in data, (refusal, data)


def one_transaction(done: Sequence[Simulated]) -> list[Log]:
    """Return the logs of several simulated calls as those of one transaction."""
    logs = [log for one in done for log in one.logs]
    return [replace(log, tx_hash=logs[0].tx_hash) for log in logs]


def every_case(look: Look, view: Deployment) -> Iterator[tuple[AccountRef, Option, int]]:
    """Yield every way of every pair of every account, with what is owed."""
    for ref, position in sorted(look.positions.items()):
        for case in cases_of(view, position):
            most = case.healed if case.way is Way.HEAL else case.owed
            option = Option(
                collateral=case.collateral.asset, debt=case.debt.asset, max_repay=0, key=case.key
            )
            yield ref, option, most

"""Venus seen twice: by the adapter, and by asking the contracts themselves."""

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
from keeper.devnet.live import open_live
from keeper.devnet.market import LocalMarket
from keeper.devnet.venus_build import build_venus
from keeper.devnet.venus_market import LiveVenus, LocalVenus, open_venus
from keeper.evm.words import WORD, ask, ask_address, int_at, selector, word_of_int
from keeper.protocols.compound_v2 import codec, rules
from keeper.protocols.compound_v2.adapter import CompoundAdapter
from keeper.protocols.compound_v2.case import Case, case_of, market_at
from keeper.protocols.compound_v2.health import stored_shortfall, terms_of, vai_debt
from keeper.protocols.compound_v2.refusals import (
    FAILURES,
    VAI_FAILURES,
    Failure,
    MarketRefusedError,
    Refusal,
)
from keeper.protocols.compound_v2.state import Deployment, Market, Position
from keeper.protocols.registry import adapter_for
from tests.support.market_node import copied_node

BORROWERS = 60
SEED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VenusNode:
    """A running anvil with Venus on it."""

    anvil: Anvil
    market: LocalMarket
    live: LiveVenus

    @property
    def venus(self) -> LocalVenus:
        return self.live.venus


@contextmanager
def built_venus(binary: Path) -> Iterator[VenusNode]:
    """Build a market and Venus on a fresh anvil."""
    with start_anvil(binary, AnvilOptions(ipc=True)) as anvil:
        market = build_market(anvil.http_url, seed=SEED, borrowers=0)
        live = open_live(market, anvil.http_url)
        with closing(live.rpc):
            venus = build_venus(live, seed=SEED, borrowers=BORROWERS)
            yield VenusNode(anvil=anvil, market=market, live=open_venus(venus, live))


@contextmanager
def copied_venus(
    binary: Path, base: VenusNode, options: AnvilOptions | None = None
) -> Iterator[VenusNode]:
    """Copy it to a node of its own: what is done there does not reach the base."""
    with copied_node(binary, base, base.live.live.rpc, options) as anvil:
        live = open_live(base.market, anvil.http_url)
        with closing(live.rpc):
            yield VenusNode(anvil=anvil, market=base.market, live=open_venus(base.venus, live))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the adapter knows of Venus at a block."""

    block: BlockRef
    market: Deployment
    positions: Mapping[AccountRef, Position]
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A chain that is open, the adapter of a fork of Compound V2, and who liquidates on it."""

    chain: Chain
    adapter: CompoundAdapter
    supplier: Address

    async def look(self, extra: Iterable[AccountRef] = ()) -> Look:
        """Read everything anew at the newest block."""
        reader = self.chain.reader
        block = await reader.head()
        market = await self.adapter.read_market(reader, block, None, None)
        wanted = self.adapter.discovery_filter(market)
        logs = await reader.logs_between(wanted, self.adapter.start_block, block.number)
        refs = sorted({*self.adapter.touched(market, logs).accounts, *extra})
        positions = await self.adapter.read_positions(reader, block, market, refs)
        prices = await self.prices(market, block)
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
            prices=await self.prices(market, block),
        )

    async def prices(self, market: Deployment, block: BlockRef) -> dict[str, Price]:
        """Read every feed at a block."""
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

    async def run(self, look: Look, *calls: tuple[Address, bytes, int]) -> list[Simulated]:
        """Run calls of somebody with tokens of every kind in the next block, and undo them."""
        transactions = [
            Transaction(sender=self.supplier, to=to, data=data, value=value)
            for to, data, value in calls
        ]
        return await self.chain.simulator.simulate(
            transactions,
            base=look.block,
            timestamp=look.block.timestamp + 12,
            base_fee=0,
            overrides={},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(Watch):
    """Venus itself."""

    live: LiveVenus


@asynccontextmanager
async def open_scene(node: VenusNode) -> AsyncIterator[Scene]:
    """Open the chain and make the adapter of the deployment."""
    adapter = adapter_for(
        "venus",
        deployment="venus.local",
        start_block=node.venus.start_block,
        parameters={"comptroller": node.venus.comptroller, "wrapped_native": node.market.weth},
    )
    assert isinstance(adapter, CompoundAdapter)
    market = node.market
    options = ChainOptions(chain_id=market.chain_id, multicall3=market.multicall3)
    async with open_chain(node.anvil.http_url, options) as chain:
        supplier = market.accounts.supplier
        yield Scene(chain=chain, adapter=adapter, supplier=supplier, live=node.live)


# --- shortfall --------------------------------------------------------------------------------


def accrued_shortfall(view: Deployment, position: Position) -> int:
    """Return what the account is short of with everything accrued."""
    return sum(one.accrued for one in terms_of(view, position)) + vai_debt(view, position)


def told(data: bytes) -> int:
    """Return the shortfall in an answer of ``getAccountLiquidity``; negative is liquidity."""
    assert int_at(data, 0) == 0
    return int_at(data, 2) - int_at(data, 1)


async def differences(scene: Watch, look: Look) -> list[str]:
    """Return the accounts of which the adapter says other than the Comptroller.

    As stored at the look's block, and as everything accrued in the next one would leave them.
    """
    refs = sorted(look.positions)
    asked = [
        ask_address(look.market.comptroller, codec.GET_ACCOUNT_LIQUIDITY, one.account)
        for one in refs
    ]
    stored = await scene.chain.reader.call_many(asked, look.block)
    accruals = [ask(one.token, codec.ACCRUE_INTEREST) for one in look.market.markets]
    if look.market.vai is not None:
        accruals.append(ask(look.market.vai.controller, selector("accrueVAIInterest()")))
    done = await scene.run(look, *((one.to, one.data, 0) for one in (*accruals, *asked)))
    now, later = scene.view(look), scene.view(look, ahead=1)
    found = []
    for ref, before, after in zip(refs, stored, done[len(accruals) :], strict=True):
        position = look.positions[ref]
        pairs = (
            ("stored", stored_shortfall(now, position), told(before.data)),
            ("accrued", accrued_shortfall(later, position), told(after.return_data)),
        )
        found += [f"{ref.account} {w}: expected {e}, found {m}" for w, m, e in pairs if m != e]
    return found


# --- liquidations -----------------------------------------------------------------------------


async def judge(
    scene: Watch, look: Look, ref: AccountRef, option: Option, repay: int
) -> SeizeQuote | Refusal:
    """Assert that Venus does in the next block what the adapter says; return what it said."""
    view, position = scene.view(look, ahead=1), look.positions[ref]
    collateral, debt = (Address(one) for one in option.key.split(":"))
    try:
        quote = scene.adapter.seize(view, position, option, repay)
    except MarketRefusedError as e:
        (done,) = await scene.run(look, liquidate_call(view, ref, collateral, debt, repay))
        assert_refused(view, done, e.refusal, market_at(view, debt))
        return e.refusal
    case = case_of(view, position, market_at(view, collateral), market_at(view, debt))
    calls = [(view.markets[one].token, codec.ACCRUE_INTEREST, 0) for one in quote.inputs]
    calls.append(liquidate_call(view, ref, collateral, debt, repay))
    calls.append((collateral, codec.REDEEM + word_of_int(spoils_tokens(view, case, repay)), 0))
    done = await scene.run(look, *calls)
    assert all(one.success for one in done), (quote, [one.return_data.hex() for one in done])
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


def liquidate_call(
    view: Deployment, ref: AccountRef, collateral: Address, debt: Address, repay: int
) -> tuple[Address, bytes, int]:
    """Return the liquidation itself, through the Liquidator where there is one."""
    value = repay if market_at(view, debt).native else 0
    if view.liquidator is not None:
        data = codec.liquidate_through(debt, ref.account, repay, collateral)
        return view.liquidator.address, data, value
    if is_vai(view, debt):
        return debt, codec.liquidate_vai(ref.account, repay, collateral), 0
    if value:
        return debt, codec.liquidate_native(ref.account, collateral), value
    return debt, codec.liquidate(ref.account, repay, collateral), 0


def is_vai(view: Deployment, place: Address) -> bool:
    return view.vai is not None and place == view.vai.controller


def spoils_tokens(view: Deployment, case: Case, repay: int) -> int:
    """Return the cTokens that reach the liquidator."""
    tokens = rules.seized_tokens(case.ratio, case.taken(repay))
    if view.liquidator is None:
        return tokens - rules.protocol_share(tokens, case.collateral.seize_share)
    percent = view.liquidator.treasury_percent
    return tokens - rules.treasury_cut(tokens, incentive=case.incentive, percent=percent)


def one_transaction(done: Sequence[Simulated]) -> list[Log]:
    """Return the logs of several simulated calls as those of one transaction."""
    logs = [log for one in done for log in one.logs]
    return [replace(log, tx_hash=logs[0].tx_hash) for log in logs]


def assert_refused(view: Deployment, done: Simulated, refusal: Refusal, debt: Market) -> None:
    """Assert that a call was refused for that reason, softly or with a revert.

    The native market reverts where others answer softly: it was sent coin to give back.
    """
    known = VAI_FAILURES if is_vai(view, debt.token) else FAILURES
    failure = known.get(refusal)
    if failure is None:
        assert not done.success, refusal
        assert refusal.value.encode() in done.return_data or _is_custom(done, refusal), (
            refusal,
            done.return_data,
        )
    elif debt.native:
        assert not done.success
        assert f"liquidateBorrow failed ({failure.error:02d})".encode() in done.return_data
    elif view.liquidator is None:
        assert done.success
        assert failures(done.logs) == [failure]
    else:
        assert not done.success
        expected = selector("LiquidationFailed(uint256)") + word_of_int(failure.error)
        assert done.return_data == expected


def failures(logs: Iterable[Log]) -> list[Failure]:
    """Return what the ``Failure`` events say."""
    return [
        Failure(*(int_at(log.data, position) for position in range(len(log.data) // WORD)))
        for log in logs
        if log.topics[0] == codec.FAILURE
    ]


def _is_custom(done: Simulated, refusal: Refusal) -> bool:
    known = {
        Refusal.RESTRICTED: selector("LiquidationNotAllowed(address,address)"),
        Refusal.VAI_FIRST: selector("VAIDebtTooHigh(uint256,uint256)"),
        Refusal.NOT_COLLATERAL: selector("Error(string)"),
    }
    return done.return_data[:4] == known.get(refusal)

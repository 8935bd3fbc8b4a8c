"""An Aave market seen twice: by the adapter, and by asking the contracts themselves."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from keeper.chain.session import Chain, ChainOptions, open_chain
from keeper.core.chain import BlockRef, Log, Simulated, Transaction
from keeper.core.lending import AccountRef, Health, Option, Price, SeizeQuote
from keeper.core.units import Address
from keeper.devnet.live import LiveMarket
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.adapter import AaveAdapter
from keeper.protocols.aave_v3.refusals import PoolRefusedError, Refusal, revert_data
from keeper.protocols.aave_v3.state import AaveMarket, AavePosition
from keeper.protocols.registry import adapter_for

Standing = tuple[int, int, int]
"""Health factor, collateral and debt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the adapter knows of a market at a block."""

    block: BlockRef
    market: AaveMarket
    positions: Mapping[AccountRef, AavePosition]
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A chain that is open, and the adapter of the market on it."""

    chain: Chain
    adapter: AaveAdapter
    live: LiveMarket

    async def borrowers(self, market: AaveMarket, block: BlockRef) -> list[AccountRef]:
        """Return every account that ever borrowed, as its logs name them."""
        wanted = self.adapter.discovery_filter(market)
        first = self.adapter.start_block
        logs = await self.chain.reader.logs_between(wanted, first, block.number)
        return sorted(self.adapter.touched(market, logs).accounts)

    async def look(self, extra: Iterable[AccountRef] = ()) -> Look:
        """Read everything anew at the newest block."""
        reader = self.chain.reader
        block = await reader.head()
        market = await self.adapter.read_market(reader, block, None, None)
        refs = sorted({*await self.borrowers(market, block), *extra})
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
        refs = sorted(touched.accounts)
        fresh = await self.adapter.read_positions(reader, block, market, refs)
        return Look(
            block=block,
            market=market,
            positions={**before.positions, **fresh},
            prices=await self.prices(market, block),
        )

    async def prices(self, market: AaveMarket, block: BlockRef) -> dict[str, Price]:
        """Read every feed at a block."""
        feeds = self.adapter.feeds(market)
        answers = await self.chain.reader.call_many([feed.read for feed in feeds], block)
        return {
            feed.id: Price(
                value=int.from_bytes(answer.data, "big"),
                block=block.number,
                updated_at=block.timestamp,
            )
            for feed, answer in zip(feeds, answers, strict=True)
        }

    async def standings(self, block: BlockRef, refs: Sequence[AccountRef]) -> list[Standing]:
        """Return what the Pool's ``getUserAccountData`` says of accounts."""
        pool = self.live.market.pool
        calls = [codec.ask_address(pool, codec.GET_USER_ACCOUNT_DATA, r.account) for r in refs]
        answers = [one.data for one in await self.chain.reader.call_many(calls, block)]
        return [(codec.int_at(a, 5), codec.int_at(a, 0), codec.int_at(a, 1)) for a in answers]

    async def attempt(self, look: Look, data: bytes, timestamp: int) -> Simulated:
        """Run a call of the Pool by somebody with tokens of every kind, and undo it."""
        transaction = Transaction(
            sender=self.live.market.accounts.supplier, to=look.market.pool, data=data
        )
        (result,) = await self.chain.simulator.simulate(
            [transaction], base=look.block, timestamp=timestamp, base_fee=0, overrides={}
        )
        return result

    async def liquidate(
        self, look: Look, ref: AccountRef, option: Option, offer: int, timestamp: int
    ) -> Simulated:
        """Run a liquidation with ``offer`` as the debt to cover."""
        data = codec.liquidation_call(option.collateral, option.debt, ref.account, offer)
        return await self.attempt(look, data, timestamp)


@asynccontextmanager
async def open_scene(live: LiveMarket, url: str) -> AsyncIterator[Scene]:
    """Open the chain of a market and make the adapter of its deployment."""
    market = live.market
    adapter = adapter_for(
        "aave_v3",
        deployment="aave_v3.local",
        start_block=market.start_block,
        parameters={"addresses_provider": market.provider},
    )
    assert isinstance(adapter, AaveAdapter)
    options = ChainOptions(chain_id=market.chain_id, multicall3=market.multicall3)
    async with open_chain(url, options) as chain:
        yield Scene(chain=chain, adapter=adapter, live=live)


def standing_of(health: Health) -> Standing:
    """Return a health in the order of ``Standing``."""
    return health.health_factor, health.collateral_base, health.debt_base


def quote_of(scene: Scene, market: AaveMarket, logs: Sequence[Log]) -> SeizeQuote:
    """Return the one liquidation among logs, as a quote."""
    (one,) = scene.adapter.decode(market, logs)
    return SeizeQuote(repay=one.repaid, seized=one.seized, protocol_fee=one.protocol_fee)


def pairs_of(market: AaveMarket, position: AavePosition) -> list[tuple[Address, Address]]:
    """Return every collateral and debt that an account's word flags."""
    reserves = market.reserves
    return [
        (one.asset, other.asset)
        for number, _ in position.collateral
        for owed, _ in position.debt
        if (one := reserves[number]) is not None and (other := reserves[owed]) is not None
    ]


async def differences(scene: Scene, look: Look) -> list[str]:
    """Return the accounts of which the adapter says other than the Pool, at the look's block."""
    view = scene.adapter.at(look.market, timestamp=look.block.timestamp, prices=look.prices)
    refs = sorted(look.positions)
    found = [standing_of(scene.adapter.assess(view, look.positions[ref])) for ref in refs]
    said = await scene.standings(look.block, refs)
    return [
        f"{ref.account}: expected {expected}, found {mine}"
        for ref, expected, mine in zip(refs, said, found, strict=True)
        if expected != mine
    ]


async def judge(
    scene: Scene, look: Look, view: AaveMarket, ref: AccountRef, option: Option, offer: int
) -> Refusal | SeizeQuote:
    """Assert that the Pool does what the adapter says of an offer; return what it said."""
    try:
        quote = scene.adapter.seize(view, look.positions[ref], option, offer)
    except PoolRefusedError as e:
        refusal = e.refusal
        done = await scene.liquidate(look, ref, option, offer, view.timestamp)
        assert not done.success, (refusal, option, offer)
        expected = revert_data(refusal, custom_errors=view.rules.custom_errors)
        assert expected is None or done.return_data == expected, (refusal, done)
        return refusal
    executor = scene.live.market.accounts.supplier
    (call,) = scene.adapter.calls(view, ref, option, quote, executor)
    done = await scene.attempt(look, call.data, view.timestamp)
    assert done.success, (quote, done.return_data.hex())
    found = quote_of(scene, view, done.logs)
    assert (found.repay, found.seized, found.protocol_fee) == (
        quote.repay,
        quote.seized,
        quote.protocol_fee,
    )
    return quote

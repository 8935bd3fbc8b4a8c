"""Introduce the rooms to each other: from settings and an open chain to a keeper that can run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keeper.app.books import Appraiser
from keeper.app.checkpoints import JournaledCheckpoints
from keeper.app.deployment import Deployment, Pace
from keeper.app.executor_contract import ExecutorContract
from keeper.app.keeper import Keeper, Streams
from keeper.app.observer import Observer
from keeper.app.opening import adapters
from keeper.app.planning import PlannerDesk
from keeper.chain.session import Chain
from keeper.config.chain_file import ChainSettings
from keeper.config.settings import Settings
from keeper.core.chain import Log, LogFilter
from keeper.core.lending import Liquidation
from keeper.core.ports import FlashSource, Signer
from keeper.core.units import Address
from keeper.executor.executor import Executor, Grounds
from keeper.executor.flight import Flight
from keeper.executor.lanes.mempool import MempoolLane
from keeper.executor.nonce import NonceKeeper
from keeper.executor.policy import Limits
from keeper.executor.rehearse import Decoders
from keeper.executor.settler import Auditor, Settler
from keeper.ledger.journal import SqliteJournal
from keeper.oracle.watcher import PriceWatcher
from keeper.planner.costs import GasModel
from keeper.planner.costs import Limits as PlanLimits
from keeper.planner.planner import Planner
from keeper.planner.trade import Terms
from keeper.protocols.registry import AnyAdapter
from keeper.runtime.clock import Clock
from keeper.venues.flash_loans import AaveV3FlashSource
from keeper.venues.uniswap_v3.venue import UniswapV3Settings, UniswapV3Venue

CHECKPOINT_EVERY_BLOCKS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a keeper is made from besides its settings."""

    chain: Chain
    journal: SqliteJournal
    contract: ExecutorContract
    signer: Signer | None
    """None keeps the keeper disarmed."""
    observer: Observer
    clock: Clock


async def assemble(settings: Settings, parts: Parts) -> Keeper:
    """Build the keeper of a chain, with what the journal left open."""
    flight = Flight(await parts.journal.open_intents())
    executor = Executor(
        _grounds(settings, parts), journal=parts.journal, flight=flight, lane=_lane(parts, settings)
    )
    deployments = [_deployment(settings, parts, executor, one) for one in adapters(settings)]
    by_name = {one.name: one for one in deployments}
    settler = Settler(
        wire=parts.chain.wire,
        reader=parts.chain.reader,
        journal=parts.journal,
        flight=flight,
        auditor_of=lambda name: _auditor(by_name[name]),
        confirmations=settings.chain.confirmations,
    )
    return Keeper(
        deployments=deployments,
        settler=settler,
        flight=flight,
        streams=_streams(parts),
        observer=parts.observer,
        drain_s=float(settings.limits.deadline_s),
    )


def _lane(parts: Parts, settings: Settings) -> MempoolLane | None:
    """Return the way to the mempool, or None without a key."""
    if parts.signer is None:
        return None
    return MempoolLane(
        chain_id=settings.chain.chain_id,
        signer=parts.signer,
        wire=parts.chain.wire,
        journal=parts.journal,
        nonces=NonceKeeper(parts.chain.wire, parts.signer.address),
    )


def _grounds(settings: Settings, parts: Parts) -> Grounds:
    limits = settings.limits
    return Grounds(
        reader=parts.chain.reader,
        simulator=parts.chain.simulator,
        operator=parts.contract.operator,
        limits=Limits(
            min_profit=limits.min_profit_wei,
            max_gas_price=limits.max_gas_price_wei,
            max_gas_per_tx=limits.max_gas_per_tx_wei,
            max_gas_per_hour=limits.max_gas_per_hour_wei,
            max_gas_per_day=limits.max_gas_per_day_wei,
            max_in_flight=limits.max_in_flight,
            min_balance=limits.min_balance_wei,
        ),
        now=parts.clock.now,
        overrides=parts.contract.overrides,
    )


def _deployment(
    settings: Settings, parts: Parts, executor: Executor, adapter: AnyAdapter
) -> Deployment[Any, Any]:
    """Bring the rooms of one deployment together."""
    chain, reader = settings.chain, parts.chain.reader
    lenders = _lenders(chain, parts)
    watcher = PriceWatcher(reader, heartbeats=_heartbeats(settings, adapter.deployment))
    return Deployment(
        adapter=adapter,
        reader=reader,
        planning=PlannerDesk(
            _planner(settings, parts, lenders),
            priority_fee=chain.priority_fee_wei,
            max_gas_price=settings.limits.max_gas_price_wei,
        ),
        executor=executor,
        journal=parts.journal,
        checkpoints=JournaledCheckpoints(parts.journal),
        watcher=watcher,
        appraiser=Appraiser(adapter, watcher, chain.wrapped_native),
        decoders=_decoders(adapter, lenders, chain.wrapped_native, parts.contract.recipient),
        pace=Pace(
            block_time_s=chain.block_time_s,
            finality_depth=chain.finality_depth,
            checkpoint_every=CHECKPOINT_EVERY_BLOCKS,
        ),
        observer=parts.observer,
    )


def _heartbeats(settings: Settings, deployment: str) -> Mapping[str, int]:
    """Return the heartbeats that the deployment's file sets, by feed."""
    found = next(one for one in settings.deployments if one.name == deployment)
    return found.settings.heartbeats_s


def _lenders(chain: ChainSettings, parts: Parts) -> list[FlashSource]:
    return [
        AaveV3FlashSource(parts.chain.reader, pool=one.pool, executor=parts.contract.address)
        for one in chain.flash_sources
    ]


def _planner(settings: Settings, parts: Parts, lenders: Sequence[FlashSource]) -> Planner:
    chain, limits = settings.chain, settings.limits
    venues = [
        UniswapV3Venue(
            parts.chain.reader,
            UniswapV3Settings(
                factory=one.factory, fees=one.fee_tiers, intermediates=one.intermediates
            ),
            name=one.name,
        )
        for one in chain.venues
    ]
    terms = Terms(
        executor=parts.contract.address,
        operator=parts.contract.operator,
        native=chain.wrapped_native,
        limits=PlanLimits(
            min_profit=limits.min_profit_wei,
            max_gas_price=limits.max_gas_price_wei,
            haircut_bps=limits.slippage_bps,
            deadline_s=limits.deadline_s,
        ),
        gas=GasModel(),
    )
    return Planner(terms=terms, venues=venues, lenders=lenders)


def _decoders(
    adapter: AnyAdapter, lenders: Sequence[FlashSource], native: Address, recipient: Address
) -> Callable[[Any], Decoders]:
    """Return how to read the transactions of a deployment, given its market."""

    def flash_fee(logs: Sequence[Log]) -> tuple[Address, int] | None:
        paid = (lender.fee_paid(logs) for lender in lenders)
        return next((fee for fee in paid if fee is not None), None)

    def decoders(market: object) -> Decoders:
        def liquidations(logs: Sequence[Log]) -> tuple[Liquidation, ...]:
            return adapter.decode(market, logs)

        return Decoders(
            liquidations=liquidations,
            flash_fee=flash_fee,
            wrapped_native=native,
            recipient=recipient,
        )

    return decoders


def _auditor(deployment: Deployment[Any, Any]) -> Auditor:
    return Auditor(decoders=deployment.decoders(), value_at=deployment.appraiser.at_block)


def _streams(parts: Parts) -> Streams:
    nothing = LogFilter(addresses=frozenset(), topics=frozenset())
    return Streams(heads=parts.chain.heads(), prices=parts.chain.logs(nothing))

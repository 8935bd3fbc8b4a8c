"""Rooms built from settings: what the daemon and the one-shot commands both need."""

from collections.abc import Callable, Sequence
from typing import Any

from keeper.app.executor_contract import ExecutorContract
from keeper.config import chain_file as config
from keeper.config.chain_file import ChainSettings, FlashSourceSettings, VenueSettings
from keeper.config.protocol_file import ProtocolSettings
from keeper.config.settings import Settings
from keeper.config.unwinding import UnwindSettings, VaultSettings
from keeper.core.chain import Log
from keeper.core.lending import Liquidation
from keeper.core.ports import FlashSource, Reader, SwapVenue, Unwinder
from keeper.core.units import BPS, Address
from keeper.executor.breaker import BreakerLimits
from keeper.executor.dividing import Decoders
from keeper.executor.forced import ForcedLimits
from keeper.executor.ladder import outbiddable
from keeper.executor.policy import Limits
from keeper.executor.standing import Triggers
from keeper.oracle.reference import ReferencePrices
from keeper.planner.costs import GasModel
from keeper.planner.costs import Limits as PlanLimits
from keeper.planner.planner import Planner
from keeper.planner.trade import Terms
from keeper.protocols.registry import AnyAdapter
from keeper.venues.balancer_flash import BalancerFlashSource
from keeper.venues.flash_loans import AaveV3FlashSource
from keeper.venues.inventory_flash import InventoryFlashSource
from keeper.venues.morpho_flash import MorphoFlashSource
from keeper.venues.pool_flash import PoolFlashSource
from keeper.venues.uniswap_v2.venue import UniswapV2Settings, UniswapV2Venue
from keeper.venues.uniswap_v3.venue import UniswapV3Settings, UniswapV3Venue
from keeper.venues.unwinding.atoken import ATokenUnwinder
from keeper.venues.unwinding.erc4626 import VaultUnwinder


def limits_of(settings: Settings) -> Limits:
    """Return what the operator allows, for the policy."""
    limits = settings.limits
    return Limits(
        min_profit=limits.min_profit_wei,
        max_gas_price=limits.max_gas_price_wei,
        max_gas_per_tx=limits.max_gas_per_tx_wei,
        max_gas_per_hour=limits.max_gas_per_hour_wei,
        max_gas_per_day=limits.max_gas_per_day_wei,
        max_in_flight=limits.max_in_flight,
        min_balance=limits.min_balance_wei,
        forced={
            one.name: ForcedLimits(
                max_loss_per_tx=found.max_loss_per_tx_wei,
                max_loss_per_day=found.max_loss_per_day_wei,
            )
            for one in settings.deployments
            if (found := one.settings.forced) is not None
        },
        targets=None if settings.executor is None else frozenset({settings.executor}),
        tokens=_listed(limits.tokens, settings.chain.wrapped_native),
        called=_listed(limits.targets, settings.chain.wrapped_native),
        spenders=_listed(limits.spenders),
    )


def _listed(addresses: Sequence[Address] | None, *more: Address) -> frozenset[Address] | None:
    """Return a list of the operator's with what is always on it; None where there is none."""
    return None if addresses is None else frozenset((*addresses, *more))


def triggers_of(settings: Settings) -> Triggers:
    """Return what halts sending by itself."""
    breaker = settings.sending.breaker
    return Triggers(
        breaker=BreakerLimits(
            max_reverts_in_row=breaker.max_reverts_in_row,
            max_loss_per_day=breaker.max_loss_per_day_wei,
            max_wasted_gas_per_hour=breaker.max_wasted_gas_per_hour_wei,
            forced_per_day={
                name: one.max_loss_per_day for name, one in limits_of(settings).forced.items()
            },
        ),
        halt_file=settings.sending.halt_file,
    )


def protocol_file(settings: Settings, deployment: str) -> ProtocolSettings:
    """Return what the file of a deployment says besides its adapter's parameters."""
    return next(one.settings for one in settings.deployments if one.name == deployment)


def reference_of(chain: ChainSettings, reader: Reader) -> ReferencePrices:
    """Return the prices that tie markets to the native coin; none when no token has a feed."""
    feeds = dict(chain.price_feeds)
    if feeds:
        feeds.setdefault(chain.wrapped_native, chain.native_feed)
    return ReferencePrices(reader, feeds)


def lenders_for(chain: ChainSettings, reader: Reader, executor: Address) -> list[FlashSource]:
    """Return everybody who lends within a transaction on the chain."""
    return [_lender(one, reader, executor) for one in chain.flash_sources]


def _lender(source: FlashSourceSettings, reader: Reader, executor: Address) -> FlashSource:
    if source.kind == "morpho_blue":
        return MorphoFlashSource(reader, morpho=source.pool, executor=executor)
    if source.kind == "balancer_v2":
        return BalancerFlashSource(reader, vault=source.pool, executor=executor)
    if source.kind == "uniswap_v3":
        name = f"uniswap_v3:{source.pool[-8:]}"
        return PoolFlashSource(reader, pool=source.pool, executor=executor, name=name)
    if source.kind == "inventory":
        return InventoryFlashSource(reader, inventory=source.pool)
    return AaveV3FlashSource(reader, pool=source.pool, executor=executor)


REACH_TICKS = 3_000
"""Ticks on each side of a pool's price that are read: 26 % down and 35 % up."""


def venue_for(venue: VenueSettings, reader: Reader, *, reach_ticks: int = REACH_TICKS) -> SwapVenue:
    """Return a configured place to swap."""
    if isinstance(venue, config.UniswapV2Settings):
        return UniswapV2Venue(
            reader,
            UniswapV2Settings(
                factory=venue.factory, fee=venue.fee, intermediates=venue.intermediates
            ),
            name=venue.name,
        )
    return UniswapV3Venue(
        reader,
        UniswapV3Settings(
            factory=venue.factory,
            fees=venue.fee_tiers,
            intermediates=venue.intermediates,
            reach_ticks=reach_ticks,
        ),
        name=venue.name,
    )


def unwinder_for(one: UnwindSettings, reader: Reader) -> Unwinder:
    """Return what reads a token that is redeemed before it is swapped."""
    if isinstance(one, VaultSettings):
        return VaultUnwinder(reader, share=one.token, holders=one.holders, gas=one.gas)
    return ATokenUnwinder(reader, share=one.token, gas=one.gas)


def planner_for(
    settings: Settings,
    reader: Reader,
    contract: ExecutorContract,
    lenders: Sequence[FlashSource],
    deployment: str,
    *,
    reach_ticks: int = REACH_TICKS,
) -> Planner:
    """Return the planner of a deployment."""
    chain, limits = settings.chain, settings.limits
    forced = protocol_file(settings, deployment).forced
    venues = [venue_for(one, reader, reach_ticks=reach_ticks) for one in chain.venues]
    terms = Terms(
        executor=contract.address,
        operator=contract.operator,
        native=chain.wrapped_native,
        limits=PlanLimits(
            min_profit=limits.min_profit_wei,
            max_gas_price=outbiddable(limits.max_gas_price_wei),
            min_profit_bps=limits.min_profit_bps,
            haircut_bps=limits.slippage_bps,
            inclusion_bps=_inclusion_bps(settings),
            tip_fixed=settings.sending.tip.fixed_wei,
            tip_bps=settings.sending.tip.share_bps,
            bid_bps=settings.sending.priority_share_bps,
            deadline_s=limits.deadline_s,
            max_forced_loss=None if forced is None else forced.max_loss_per_tx_wei,
        ),
        gas=GasModel(),
    )
    unwinders = [unwinder_for(one, reader) for one in chain.unwind]
    return Planner(terms=terms, venues=venues, lenders=lenders, unwinders=unwinders)


def _inclusion_bps(settings: Settings) -> int:
    """Return the haircut for all blocks that a transaction may wait before it is given up."""
    blocks = 1 + settings.sending.replace_after_blocks
    return min(settings.limits.inclusion_haircut_bps * blocks, BPS)


def decoders_for(
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

"""Which logs matter, and whom and what they change."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from keeper.core.chain import Log, LogFilter
from keeper.core.lending import AccountRef, Touched
from keeper.core.units import ZERO_ADDRESS, Address, Hash32, address_of_word
from keeper.evm.words import topic
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.venus_isolated import codec
from keeper.protocols.venus_isolated.state import Deployment, main_oracles

MARKET_ACCOUNTS: Final[Mapping[Hash32, tuple[int, ...]]] = {
    family.BORROW: (1,),
    family.REPAY_BORROW: (2,),
    family.LIQUIDATE_BORROW: (2,),
    codec.HEALED: (2,),
    family.TRANSFER: (1, 2),
}
"""Events of a market to the topics that hold the accounts they change."""

MEMBERSHIP: Final = frozenset(
    map(topic, ("MarketEntered(address,address)", "MarketExited(address,address)"))
)
"""Of a Comptroller: market, then account."""

MARKET_CHANGES: Final = frozenset(
    map(
        topic,
        (
            "AccrueInterest(uint256,uint256,uint256,uint256)",
            "BadDebtIncreased(address,uint256,uint256,uint256)",
            "BadDebtRecovered(uint256,uint256)",
            "CashSynced(uint256,uint256)",
            "NewReserveFactor(uint256,uint256)",
            "ReservesAdded(address,uint256,uint256)",
            "SpreadReservesReduced(address,uint256,uint256)",
            "SweepToken(address)",
        ),
    )
).union(MARKET_ACCOUNTS, (codec.PROTOCOL_SEIZED, codec.REDEEMED))
"""Events of a market after which it is read again."""

RATE_CHANGES: Final = frozenset(
    map(
        topic,
        (
            "NewInterestParams(uint256,uint256,uint256,uint256)",
            "NewInterestParams(uint256,uint256)",
        ),
    )
)
"""Events of a rate model after which its markets are read again."""

STRUCTURE: Final = frozenset(
    map(
        topic,
        (
            "PoolRegistered(address,(string,address,address,uint256,uint256))",
            "MarketAdded(address,address)",
            "MarketSupported(address)",
            "MarketUnlisted(address)",
            "NewCloseFactor(uint256,uint256)",
            "NewCollateralFactor(address,uint256,uint256)",
            "NewLiquidationThreshold(address,uint256,uint256)",
            "NewLiquidationIncentive(uint256,uint256)",
            "NewMinLiquidatableCollateral(uint256,uint256)",
            "NewPriceOracle(address,address)",
            "ActionPausedMarket(address,uint8,bool)",
            "IsForcedLiquidationEnabledUpdated(address,bool)",
            "NewProtocolSeizeShare(uint256,uint256)",
            "NewMarketInterestRateModel(address,address)",
            "NewComptroller(address,address)",
            "TokenConfigAdded(address,address,address,address)",
            "OracleSet(address,address,uint256)",
            "OracleEnabled(address,uint256,bool)",
            "TokenConfigAdded(address,address,uint256)",
            "PricePosted(address,uint256,uint256)",
            "Upgraded(address)",
        ),
    )
)
"""Events after which the deployment is read again from its root."""

_TOPICS: Final = STRUCTURE.union(MARKET_CHANGES, RATE_CHANGES, MEMBERSHIP)


def discovery_filter(market: Deployment) -> LogFilter:
    """Return the logs that name every borrower: debt starts with one of them and cannot move."""
    return LogFilter(addresses=frozenset(market.numbers), topics=frozenset((family.BORROW,)))


def log_filter(market: Deployment) -> LogFilter:
    """Return the logs that change accounts or the deployment."""
    models = {one.rate_model for one in market.markets.values()}
    places = _contracts(market).union(market.numbers, models)
    return LogFilter(addresses=frozenset(places), topics=_TOPICS)


def touched(market: Deployment, logs: Iterable[Log]) -> Touched:
    """Return whom and what the logs changed; logs of others change nothing."""
    accounts: set[AccountRef] = set()
    parts: set[str] = set()
    structure = False
    others = _contracts(market)
    for log in logs:
        if not log.topics:
            continue
        number, first = market.numbers.get(log.address), log.topics[0]
        if number is not None:
            pool = market.markets[number].comptroller
            accounts |= {_ref(pool, one) for one in _named(log, MARKET_ACCOUNTS.get(first, ()))}
            if first in MARKET_CHANGES:
                parts.add(log.address)
        if log.address in market.pools and first in MEMBERSHIP:
            accounts |= {_ref(log.address, one) for one in _named(log, (2,))}
        if first in RATE_CHANGES:
            using = [m for m in market.markets.values() if m.rate_model == log.address]
            parts |= {one.token for one in using}
        known = number is not None or log.address in others
        structure = structure or (known and first in STRUCTURE)
    strangers = {*market.numbers, ZERO_ADDRESS}
    return Touched(
        accounts=frozenset(one for one in accounts if one.account not in strangers),
        parts=frozenset(parts),
        structure=structure,
    )


def _ref(comptroller: Address, account: Address) -> AccountRef:
    return AccountRef(market=comptroller, account=account)


def _named(log: Log, positions: Iterable[int]) -> Iterator[Address]:
    """Return the accounts in a log's topics."""
    for position in positions:
        if position < len(log.topics):
            yield address_of_word(log.topics[position])


def _contracts(market: Deployment) -> set[Address]:
    """Return the contracts around the markets."""
    oracles = {one.oracle for one in market.pools.values()}
    return {market.registry, *market.pools, *oracles, *main_oracles(market.sources)}

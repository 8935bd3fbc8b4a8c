"""Which logs matter, whom and what they change, and the liquidations among them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from keeper.core.chain import Log, LogFilter
from keeper.core.lending import AccountRef, Touched
from keeper.core.units import ZERO_ADDRESS, Address, Hash32, address_of_word
from keeper.evm.words import WORD, address_at, topic
from keeper.protocols.compound_v2 import codec
from keeper.protocols.compound_v2.state import Deployment, main_oracles

DATA_ACCOUNTS: Final[Mapping[Hash32, int]] = {
    codec.BORROW: 0,
    codec.REPAY_BORROW: 1,
    codec.LIQUIDATE_BORROW: 1,
    codec.MINT_VAI: 0,
    topic("RepayVAI(address,address,uint256)"): 1,
    codec.VAI_LIQUIDATED: 1,
}
"""Events without indexed fields to the word of data that holds the account they change."""

TOPIC_ACCOUNTS: Final[Mapping[Hash32, tuple[int, ...]]] = {
    codec.TRANSFER: (1, 2),
    topic("PoolSelected(address,uint96,uint96)"): (1,),
    topic("IsForcedLiquidationEnabledForUserUpdated(address,address,bool)"): (1,),
    topic("LiquidationRestricted(address)"): (1,),
    topic("LiquidationRestrictionsDisabled(address)"): (1,),
}
"""Events to the topics that hold the accounts they change."""

MEMBERSHIP: Final = frozenset(
    map(topic, ("MarketEntered(address,address)", "MarketExited(address,address)"))
)
"""Market, then account: in topics on Venus, in data on Compound."""

MARKET_CHANGES: Final = frozenset(
    map(
        topic,
        (
            "AccrueInterest(uint256,uint256,uint256,uint256)",
            "AccrueInterest(uint256,uint256,uint256)",
            "ReservesAdded(address,uint256,uint256)",
            "ReservesReduced(address,uint256,uint256)",
            "NewMarketInterestRateModel(address,address)",
            "NewReduceReservesBlockDelta(uint256,uint256)",
            "CashSynced(uint256,uint256)",
            "TokenSwept(address,uint256)",
            "TransferInUnderlyingFlashLoan(address,address,uint256,uint256,uint256)",
            "TransferOutUnderlyingFlashLoan(address,address,uint256)",
        ),
    )
).union(DATA_ACCOUNTS, (codec.TRANSFER,))
"""Events of a market after which it is read again."""

STRUCTURE: Final = frozenset(
    map(
        topic,
        (
            "MarketListed(address)",
            "MarketUnlisted(address)",
            "NewCloseFactor(uint256,uint256)",
            "NewCollateralFactor(address,uint256,uint256)",
            "NewCollateralFactor(uint96,address,uint256,uint256)",
            "NewLiquidationThreshold(uint96,address,uint256,uint256)",
            "NewLiquidationIncentive(uint256,uint256)",
            "NewLiquidationIncentive(uint96,address,uint256,uint256)",
            "NewPriceOracle(address,address)",
            "NewComptrollerLens(address,address)",
            "NewLiquidatorContract(address,address)",
            "NewVAIController(address,address)",
            "NewTreasuryPercent(uint256,uint256)",
            "NewReserveFactor(uint256,uint256)",  # of 1 it may deprecate the market
            "NewComptroller(address,address)",
            "NewImplementation(address,address)",
            "ActionPaused(string,bool)",
            "ActionPaused(address,string,bool)",
            "ActionPausedMarket(address,uint8,bool)",
            "ActionProtocolPaused(bool)",
            "IsForcedLiquidationEnabledUpdated(address,bool)",
            "PoolCreated(uint96,string)",
            "PoolMarketInitialized(uint96,address)",
            "PoolMarketRemoved(uint96,address)",
            "PoolActiveStatusUpdated(uint96,bool,bool)",
            "PoolFallbackStatusUpdated(uint96,bool,bool)",
            "DiamondCut((address,uint8,bytes4[])[])",
            "NewLiquidationTreasuryPercent(uint256,uint256)",
            "NewMinLiquidatableVAI(uint256,uint256)",
            "ForceVAILiquidationPaused(address)",
            "ForceVAILiquidationResumed(address)",
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

_TOPICS: Final = STRUCTURE.union(MARKET_CHANGES, TOPIC_ACCOUNTS, MEMBERSHIP, codec.REDEEMED)


def discovery_filter(market: Deployment) -> LogFilter:
    """Return the logs that name every borrower: debt starts with one of them and cannot move."""
    places = set(market.numbers)
    if market.vai is not None:
        places.add(market.vai.controller)
    return LogFilter(addresses=frozenset(places), topics=frozenset((codec.BORROW, codec.MINT_VAI)))


def log_filter(market: Deployment) -> LogFilter:
    """Return the logs that change accounts or the deployment."""
    return LogFilter(addresses=frozenset(_contracts(market)).union(market.numbers), topics=_TOPICS)


def touched(market: Deployment, logs: Iterable[Log]) -> Touched:
    """Return whom and what the logs changed; logs of others change nothing."""
    accounts: set[Address] = set()
    parts: set[str] = set()
    structure = False
    others = _contracts(market)
    for log in logs:
        is_market = log.address in market.numbers
        if not log.topics or not (is_market or log.address in others):
            continue
        accounts.update(_accounts(log))
        structure = structure or log.topics[0] in STRUCTURE
        if is_market and log.topics[0] in MARKET_CHANGES:
            parts.add(log.address)
    accounts.difference_update(market.numbers, (ZERO_ADDRESS,))
    return Touched(
        accounts=frozenset(AccountRef(market=market.comptroller, account=one) for one in accounts),
        parts=frozenset(parts),
        structure=structure,
    )


def _accounts(log: Log) -> Iterator[Address]:
    """Return the accounts that a log of ours changes."""
    first = log.topics[0]
    word = DATA_ACCOUNTS.get(first)
    if word is not None and len(log.data) > word * WORD:
        yield address_at(log.data, word)
    for position in TOPIC_ACCOUNTS.get(first, ()):
        if position < len(log.topics):
            yield address_of_word(log.topics[position])
    if first in MEMBERSHIP:
        indexed = len(log.topics) > 2  # noqa: PLR2004 - the event itself, and its two fields
        yield address_of_word(log.topics[2]) if indexed else address_at(log.data, 1)


def _contracts(market: Deployment) -> set[Address]:
    """Return the contracts around the markets."""
    found = {market.comptroller, market.oracle, *main_oracles(market.sources)}
    if market.liquidator is not None:
        found.add(market.liquidator.address)
    if market.vai is not None:
        found.add(market.vai.controller)
    return found

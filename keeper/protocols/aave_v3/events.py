"""Which logs matter, whom and what they change, and the liquidations among them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from keeper.core.chain import Log, LogFilter
from keeper.core.lending import AccountRef, Liquidation, Touched
from keeper.core.log_columns import LogColumns
from keeper.core.units import Address, Hash32, address_of_word
from keeper.protocols.aave_v3 import codec
from keeper.protocols.aave_v3.codec import topic
from keeper.protocols.aave_v3.state import AaveMarket

BORROW: Final = topic("Borrow(address,address,address,uint256,uint8,uint256,uint16)")

POOL_ACCOUNTS: Final[Mapping[Hash32, int]] = {
    topic("Supply(address,address,address,uint256,uint16)"): 2,
    topic("MintUnbacked(address,address,address,uint256,uint16)"): 2,
    topic("Withdraw(address,address,address,uint256)"): 2,
    BORROW: 2,
    topic("Repay(address,address,address,uint256,bool)"): 2,
    topic("SwapBorrowRateMode(address,address,uint8)"): 2,
    topic("RebalanceStableBorrowRate(address,address)"): 2,
    topic("ReserveUsedAsCollateralEnabled(address,address)"): 2,
    topic("ReserveUsedAsCollateralDisabled(address,address)"): 2,
    topic("UserEModeSet(address,uint8)"): 1,
    topic("DeficitCreated(address,address,uint256)"): 1,
    codec.LIQUIDATION_CALL_EVENT: 3,
}
"""Events of the Pool to the topic that holds the account they change."""

POOL_RESERVES: Final[Mapping[Hash32, tuple[int, ...]]] = {
    topic("ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)"): (1,),
    topic("MintedToTreasury(address,uint256)"): (1,),
    # With aTokens received, 3.5 and later store the collateral's indices and emit nothing of it.
    codec.LIQUIDATION_CALL_EVENT: (1, 2),
}
"""Events of the Pool to the topics that hold the reserves they change."""

TOKEN_ACCOUNTS: Final[Mapping[Hash32, tuple[int, ...]]] = {
    topic("Mint(address,address,uint256,uint256,uint256)"): (2,),
    topic("Burn(address,address,uint256,uint256,uint256)"): (1,),
    topic("BalanceTransfer(address,address,uint256,uint256)"): (1, 2),
    topic("Mint(address,address,uint256,uint256,uint256,uint256,uint256,uint256)"): (2,),
    topic("Burn(address,uint256,uint256,uint256,uint256,uint256)"): (1,),
}
"""Events of aTokens, variable and stable debt tokens to the topics that hold accounts."""

RESERVE_SETTINGS: Final = frozenset(
    map(
        topic,
        (
            "CollateralConfigurationChanged(address,uint256,uint256,uint256)",
            "ReserveActive(address,bool)",
            "ReservePaused(address,bool)",
            "ReserveStableRateBorrowing(address,bool)",
            "LiquidationProtocolFeeChanged(address,uint256,uint256)",
            "ReserveFactorChanged(address,uint256,uint256)",
            "LiquidationGracePeriodChanged(address,uint40)",
            "LiquidationGracePeriodDisabled(address)",
            "EModeAssetCategoryChanged(address,uint8,uint8)",
        ),
    )
)
"""Events of the PoolConfigurator that change the reserve in their first topic."""

STRUCTURE: Final = frozenset(
    map(
        topic,
        (
            "ReserveInitialized(address,address,address,address,address)",
            "ReserveDropped(address)",
            "ATokenUpgraded(address,address,address)",
            "StableDebtTokenUpgraded(address,address,address)",
            "VariableDebtTokenUpgraded(address,address,address)",
            "EModeCategoryAdded(uint8,uint256,uint256,uint256,address,string)",
            "AssetCollateralInEModeChanged(address,uint8,bool)",
            "FlashloanPremiumTotalUpdated(uint128,uint128)",
            "FlashloanPremiumToProtocolUpdated(uint128,uint128)",
            "AssetSourceUpdated(address,address)",
            "FallbackOracleUpdated(address)",
            "AddressSet(bytes32,address,address)",
            "AddressSetAsProxy(bytes32,address,address,address)",
            "PoolUpdated(address,address)",
            "PoolConfiguratorUpdated(address,address)",
            "PriceOracleUpdated(address,address)",
            "PriceOracleSentinelUpdated(address,address)",
            "SequencerOracleUpdated(address)",
            "GracePeriodUpdated(uint256)",
            "Upgraded(address)",
        ),
    )
)
"""Events after which the market is read again from its root."""

SEQUENCER: Final = frozenset(
    map(topic, ("AnswerUpdated(int256,uint256,uint256)", "NewRound(uint256,address,uint256)"))
)
SEQUENCER_PART: Final = "sequencer"

_TOPICS: Final = frozenset(
    (*POOL_ACCOUNTS, *POOL_RESERVES, *TOKEN_ACCOUNTS, *RESERVE_SETTINGS, *STRUCTURE, *SEQUENCER)
)


def discovery_filter(market: AaveMarket) -> LogFilter:
    """Return the logs that name every borrower: debt starts with ``Borrow`` and cannot move."""
    return LogFilter(addresses=frozenset((market.pool,)), topics=frozenset((BORROW,)))


def borrowers(market: AaveMarket, logs: LogColumns) -> frozenset[AccountRef]:
    """Return whom the ``Borrow`` logs among the columns name."""
    rows = logs.rows(market.pool, BORROW)
    named = logs.addresses(rows, POOL_ACCOUNTS[BORROW])
    return frozenset(AccountRef(market=market.pool, account=one) for one in named)


def log_filter(market: AaveMarket) -> LogFilter:
    """Return the logs that change accounts or the market."""
    return LogFilter(
        addresses=_contracts(market).union((market.pool,), market.token_ids), topics=_TOPICS
    )


def touched(market: AaveMarket, logs: Iterable[Log]) -> Touched:
    """Return whom and what the logs changed; logs of others change nothing."""
    accounts: set[Address] = set()
    parts: set[str] = set()
    structure = False
    contracts = _contracts(market)
    for log in logs:
        first = log.topics[0] if log.topics else None
        if first is None:
            continue
        if log.address == market.pool:
            accounts.update(_topic_addresses(log, _one(POOL_ACCOUNTS.get(first))))
            parts.update(_topic_addresses(log, POOL_RESERVES.get(first, ())))
        elif log.address in market.token_ids:
            accounts.update(_topic_addresses(log, TOKEN_ACCOUNTS.get(first, ())))
        elif log.address in contracts and first in RESERVE_SETTINGS:
            parts.update(_topic_addresses(log, (1,)))
        elif log.address in contracts and first in SEQUENCER:
            parts.add(SEQUENCER_PART)
        structure = structure or (first in STRUCTURE and _is_ours(market, contracts, log))
    return Touched(
        accounts=frozenset(AccountRef(market=market.pool, account=one) for one in accounts),
        parts=frozenset(parts),
        structure=structure,
    )


def liquidations(market: AaveMarket, logs: Sequence[Log]) -> tuple[Liquidation, ...]:
    """Return the liquidations among the logs, with the fee that each paid to the treasury.

    ``LiquidationCall`` states what the liquidator got; the protocol's part moved before it, as an
    aToken transfer from the borrower to the treasury.
    """
    found = []
    since = 0
    for position, log in enumerate(logs):
        if log.address != market.pool or log.topics[:1] != (codec.LIQUIDATION_CALL_EVENT,):
            continue
        found.append(_liquidation(market, logs[since:position], log))
        since = position + 1
    return tuple(found)


def _liquidation(market: AaveMarket, before: Sequence[Log], log: Log) -> Liquidation:
    collateral, debt, account = (address_of_word(word) for word in log.topics[1:4])
    net = codec.int_at(log.data, 1)
    fee = _fee(market, before, log, collateral, account)
    return Liquidation(
        ref=AccountRef(market=market.pool, account=account),
        collateral=collateral,
        debt=debt,
        liquidator=codec.address_at(log.data, 2),
        repaid=codec.int_at(log.data, 0),
        seized=net + fee,
        protocol_fee=fee,
        tx_hash=log.tx_hash,
        log=log,
    )


def _fee(
    market: AaveMarket, before: Sequence[Log], call: Log, collateral: Address, account: Address
) -> int:
    """Return the last transfer of the collateral's aToken from borrower to treasury, or zero."""
    reserve = market.reserve(collateral)
    if reserve is None:
        return 0
    wanted = (codec.TRANSFER, *(_word_hex(one) for one in (account, reserve.tokens.treasury)))
    for log in reversed(before):
        if log.tx_hash != call.tx_hash:
            return 0
        if log.address == reserve.tokens.a_token and log.topics == wanted:
            return codec.int_at(log.data, 0)
    return 0


def _contracts(market: AaveMarket) -> frozenset[Address]:
    """Return the contracts around the Pool that emit settings."""
    found = {market.provider, market.oracle, market.configurator}
    if market.sentinel is not None:
        found.update((market.sentinel.address, market.sentinel.aggregator))
    return frozenset(found)


def _is_ours(market: AaveMarket, contracts: frozenset[Address], log: Log) -> bool:
    return log.address == market.pool or log.address in contracts or log.address in market.token_ids


def _topic_addresses(log: Log, positions: Iterable[int]) -> Iterator[Address]:
    return (address_of_word(log.topics[position]) for position in positions)


def _one(position: int | None) -> tuple[int, ...]:
    return () if position is None else (position,)


def _word_hex(value: Address) -> Hash32:
    return Hash32("0x" + "0" * 24 + value[2:])

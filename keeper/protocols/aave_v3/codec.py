"""Bytes of Aave V3: selectors, topics, calldata, and answers sliced by hand."""

from keeper.core.units import Address
from keeper.evm.erc20 import BALANCE_OF, SYMBOL, symbol_of
from keeper.evm.words import (
    WORD,
    address_at,
    addresses_at_start,
    ask,
    ask_address,
    ask_int,
    int_at,
    selector,
    signed_at,
    topic,
    word_of_address,
    word_of_int,
)

__all__ = [
    "BALANCE_OF",
    "SYMBOL",
    "WORD",
    "address_at",
    "addresses_at_start",
    "ask",
    "ask_address",
    "ask_int",
    "int_at",
    "selector",
    "signed_at",
    "symbol_of",
    "topic",
    "word_of_address",
    "word_of_int",
]
"""Of these, what the modules of this folder use through their codec."""

# --- functions --------------------------------------------------------------------------------

GET_POOL = selector("getPool()")
GET_PRICE_ORACLE = selector("getPriceOracle()")
GET_POOL_CONFIGURATOR = selector("getPoolConfigurator()")
GET_PRICE_ORACLE_SENTINEL = selector("getPriceOracleSentinel()")

ADDRESSES_PROVIDER = selector("ADDRESSES_PROVIDER()")
POOL_REVISION = selector("POOL_REVISION()")
FLASHLOAN_PREMIUM_TOTAL = selector("FLASHLOAN_PREMIUM_TOTAL()")
FLASHLOAN_PREMIUM_TO_PROTOCOL = selector("FLASHLOAN_PREMIUM_TO_PROTOCOL()")
GET_RESERVES_LIST = selector("getReservesList()")
GET_RESERVE_DATA = selector("getReserveData(address)")
GET_LIQUIDATION_GRACE_PERIOD = selector("getLiquidationGracePeriod(address)")
GET_VIRTUAL_UNDERLYING_BALANCE = selector("getVirtualUnderlyingBalance(address)")
GET_EMODE_CATEGORY_DATA = selector("getEModeCategoryData(uint8)")
GET_EMODE_COLLATERAL_CONFIG = selector("getEModeCategoryCollateralConfig(uint8)")
GET_RESERVE_DEFICIT = selector("getReserveDeficit(address)")
GET_EMODE_COLLATERAL_BITMAP = selector("getEModeCategoryCollateralBitmap(uint8)")
GET_USER_CONFIGURATION = selector("getUserConfiguration(address)")
GET_USER_EMODE = selector("getUserEMode(address)")
GET_USER_ACCOUNT_DATA = selector("getUserAccountData(address)")
LIQUIDATION_CALL = selector("liquidationCall(address,address,address,uint256,bool)")

SCALED_BALANCE_OF = selector("scaledBalanceOf(address)")
RESERVE_TREASURY_ADDRESS = selector("RESERVE_TREASURY_ADDRESS()")
PRINCIPAL_BALANCE_OF = selector("principalBalanceOf(address)")
GET_USER_STABLE_RATE = selector("getUserStableRate(address)")
GET_USER_LAST_UPDATED = selector("getUserLastUpdated(address)")
TOTAL_SUPPLY = selector("totalSupply()")
SCALED_TOTAL_SUPPLY = selector("scaledTotalSupply()")

GET_ASSET_PRICE = selector("getAssetPrice(address)")
GET_SOURCE_OF_ASSET = selector("getSourceOfAsset(address)")
AGGREGATOR = selector("aggregator()")
LATEST_ANSWER = selector("latestAnswer()")
LATEST_ROUND_DATA = selector("latestRoundData()")
GET_SEQUENCER_ORACLE = selector("getSequencerOracle()")
GET_GRACE_PERIOD = selector("getGracePeriod()")

# --- events -----------------------------------------------------------------------------------

LIQUIDATION_CALL_EVENT = topic(
    "LiquidationCall(address,address,address,uint256,uint256,address,bool)"
)
TRANSFER = topic("Transfer(address,address,uint256)")


def liquidation_call(collateral: Address, debt: Address, account: Address, repay: int) -> bytes:
    """Return the calldata of a liquidation that is paid in the underlying, not in aTokens."""
    return b"".join(
        (
            LIQUIDATION_CALL,
            word_of_address(collateral),
            word_of_address(debt),
            word_of_address(account),
            word_of_int(repay),
            word_of_int(0),
        )
    )

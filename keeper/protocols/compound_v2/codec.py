"""Bytes of the family: selectors, topics, calldata. Venus's own are told apart below."""

from typing import Final

from keeper.core.units import Address
from keeper.evm.hashing import keccak256
from keeper.evm.words import selector, topic, word_of_address, word_of_int

# --- Comptroller ------------------------------------------------------------------------------

ORACLE = selector("oracle()")
CLOSE_FACTOR = selector("closeFactorMantissa()")
INCENTIVE = selector("liquidationIncentiveMantissa()")
GET_ALL_MARKETS = selector("getAllMarkets()")
MARKETS = selector("markets(address)")
GET_ASSETS_IN = selector("getAssetsIn(address)")
GET_ACCOUNT_LIQUIDITY = selector("getAccountLiquidity(address)")
SEIZE_PAUSED = selector("seizeGuardianPaused()")
IS_DEPRECATED = selector("isDeprecated(address)")
SEIZE_ALLOWED = selector("seizeAllowed(address,address,address,address,uint256)")

# Venus
PROTOCOL_PAUSED = selector("protocolPaused()")
ACTION_PAUSED = selector("actionPaused(address,uint8)")
TREASURY_PERCENT = selector("treasuryPercent()")
LIQUIDATOR_CONTRACT = selector("liquidatorContract()")
VAI_CONTROLLER = selector("vaiController()")
LAST_POOL_ID = selector("lastPoolId()")
POOLS = selector("pools(uint96)")
POOL_MARKETS = selector("poolMarkets(uint96,address)")
USER_POOL_ID = selector("userPoolId(address)")
IS_FORCED = selector("isForcedLiquidationEnabled(address)")
IS_FORCED_FOR_USER = selector("isForcedLiquidationEnabledForUser(address,address)")
MINTED_VAIS = selector("mintedVAIs(address)")
VAI_MINT_PAUSED = selector("mintVAIGuardianPaused()")
VAI_REPAY_PAUSED = selector("repayVAIGuardianPaused()")

# --- markets ----------------------------------------------------------------------------------

UNDERLYING = selector("underlying()")
GET_CASH = selector("getCash()")
TOTAL_BORROWS = selector("totalBorrows()")
TOTAL_RESERVES = selector("totalReserves()")
BORROW_INDEX = selector("borrowIndex()")
TOTAL_SUPPLY = selector("totalSupply()")
RESERVE_FACTOR = selector("reserveFactorMantissa()")
EXCHANGE_RATE_STORED = selector("exchangeRateStored()")
RATE_PER_BLOCK = selector("borrowRatePerBlock()")
RATE_PER_SECOND = selector("borrowRatePerTimestamp()")
ACCRUED_AT_BLOCK = selector("accrualBlockNumber()")
ACCRUED_AT_SECOND = selector("accrualBlockTimestamp()")
SEIZE_SHARE = selector("protocolSeizeShareMantissa()")
GET_ACCOUNT_SNAPSHOT = selector("getAccountSnapshot(address)")
ACCRUE_INTEREST = selector("accrueInterest()")
LIQUIDATE = selector("liquidateBorrow(address,uint256,address)")
LIQUIDATE_NATIVE = selector("liquidateBorrow(address,address)")
REDEEM = selector("redeem(uint256)")

# Venus
INTERNAL_CASH = selector("internalCash()")
SHED_AT = selector("reduceReservesBlockNumber()")
SHED_EVERY = selector("reduceReservesBlockDelta()")

# --- oracles, Liquidator, VAI, wrapped native coin --------------------------------------------

GET_UNDERLYING_PRICE = selector("getUnderlyingPrice(address)")
GET_TOKEN_CONFIG = selector("getTokenConfig(address)")
TOKEN_CONFIGS = selector("tokenConfigs(address)")
LATEST_ROUND_DATA = selector("latestRoundData()")

LIQUIDATE_THROUGH = selector("liquidateBorrow(address,address,uint256,address)")
LIQUIDATOR_PERCENT = selector("treasuryPercentMantissa()")
FORCE_VAI = selector("forceVAILiquidate()")
MIN_LIQUIDATABLE_VAI = selector("minLiquidatableVAI()")
IS_RESTRICTED = selector("liquidationRestricted(address)")

GET_VAI = selector("getVAIAddress()")
VAI_MINT_INDEX = selector("vaiMintIndex()")
VAI_RATE = selector("getVAIRepayRatePerBlock()")
PAST_VAI_INTEREST = selector("pastVAIInterest(address)")
VAI_MINTER_INDEX = selector("getVAIMinterInterestIndex(address)")
GET_VAI_REPAY_AMOUNT = selector("getVAIRepayAmount(address)")
LIQUIDATE_VAI = selector("liquidateVAI(address,uint256,address)")

DEPOSIT = selector("deposit()")
WITHDRAW = selector("withdraw(uint256)")

NATIVE_ASSET: Final = Address("0x" + "bb" * 20)
"""What Venus's oracles call the native coin."""

# --- events -----------------------------------------------------------------------------------

BORROW = topic("Borrow(address,uint256,uint256,uint256)")
REPAY_BORROW = topic("RepayBorrow(address,address,uint256,uint256,uint256)")
LIQUIDATE_BORROW = topic("LiquidateBorrow(address,address,uint256,address,uint256)")
TRANSFER = topic("Transfer(address,address,uint256)")
FAILURE = topic("Failure(uint256,uint256,uint256)")
REDEEMED = frozenset(
    map(
        topic,
        ("Redeem(address,uint256,uint256)", "Redeem(address,uint256,uint256,uint256)"),
    )
)
REDEEM_FEE = topic("RedeemFee(address,uint256,uint256)")
MINT_VAI = topic("MintVAI(address,uint256)")
VAI_LIQUIDATED = topic("LiquidateVAI(address,address,uint256,address,uint256)")
LIQUIDATED_THROUGH = topic(
    "LiquidateBorrowedTokens(address,address,uint256,address,address,uint256,uint256)"
)


def borrow_slot(account: Address, slot: int) -> int:
    """Return where a market stores an account's principal; its index is in the next word."""
    return int.from_bytes(keccak256(word_of_address(account) + word_of_int(slot)), "big")


def liquidate(account: Address, repay: int, collateral: Address) -> bytes:
    """Return the calldata of a market's own liquidation."""
    return b"".join(
        (LIQUIDATE, word_of_address(account), word_of_int(repay), word_of_address(collateral))
    )


def liquidate_vai(account: Address, repay: int, collateral: Address) -> bytes:
    """Return the calldata of a liquidation of VAI by its controller."""
    return b"".join(
        (LIQUIDATE_VAI, word_of_address(account), word_of_int(repay), word_of_address(collateral))
    )


def liquidate_native(account: Address, collateral: Address) -> bytes:
    """Return the calldata of a native market's own liquidation; the value is what is repaid."""
    return LIQUIDATE_NATIVE + word_of_address(account) + word_of_address(collateral)


def liquidate_through(debt: Address, account: Address, repay: int, collateral: Address) -> bytes:
    """Return the calldata of a liquidation through Venus's Liquidator."""
    return b"".join(
        (
            LIQUIDATE_THROUGH,
            word_of_address(debt),
            word_of_address(account),
            word_of_int(repay),
            word_of_address(collateral),
        )
    )

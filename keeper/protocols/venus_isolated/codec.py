"""Bytes of Venus's isolated pools that Compound's family does not have."""

from keeper.core.units import Address
from keeper.evm.words import selector, topic, word_of_address, word_of_int

# --- registry and Comptroller -----------------------------------------------------------------

GET_ALL_POOLS = selector("getAllPools()")
LEAST_COLLATERAL = selector("minLiquidatableCollateral()")
LIQUIDATE_ACCOUNT = selector("liquidateAccount(address,(address,address,uint256)[])")
HEAL_ACCOUNT = selector("healAccount(address)")

# --- markets ----------------------------------------------------------------------------------

IS_TIME_BASED = selector("isTimeBased()")
BAD_DEBT = selector("badDebt()")
RATE_MODEL = selector("interestRateModel()")

# --- events -----------------------------------------------------------------------------------

HEALED = topic("HealBorrow(address,address,uint256)")
PROTOCOL_SEIZED = topic("ProtocolSeize(address,address,uint256)")
REDEEMED = topic("Redeem(address,uint256,uint256,uint256)")

_ORDERS_AT = 64


def liquidate_account(account: Address, collateral: Address, debt: Address, repay: int) -> bytes:
    """Return the calldata that liquidates a whole account by one order."""
    return b"".join(
        (
            LIQUIDATE_ACCOUNT,
            word_of_address(account),
            word_of_int(_ORDERS_AT),
            word_of_int(1),
            word_of_address(collateral),
            word_of_address(debt),
            word_of_int(repay),
        )
    )


def heal_account(account: Address) -> bytes:
    """Return the calldata that takes all collateral and forgives what it does not pay."""
    return HEAL_ACCOUNT + word_of_address(account)

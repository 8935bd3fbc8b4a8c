"""Bytes of Aave V3: selectors, topics, calldata, and answers sliced by hand."""

from typing import Final

from keeper.core.chain import Call
from keeper.core.units import Address, Hash32
from keeper.evm.hashing import keccak256, keccak_hash

WORD: Final = 32


def selector(signature: str) -> bytes:
    """Return the four bytes that call a function."""
    return keccak256(signature.encode())[:4]


def topic(signature: str) -> Hash32:
    """Return the first topic of an event."""
    return keccak_hash(signature.encode())


# --- functions --------------------------------------------------------------------------------

GET_POOL = selector("getPool()")
GET_PRICE_ORACLE = selector("getPriceOracle()")
GET_POOL_CONFIGURATOR = selector("getPoolConfigurator()")
GET_PRICE_ORACLE_SENTINEL = selector("getPriceOracleSentinel()")

ADDRESSES_PROVIDER = selector("ADDRESSES_PROVIDER()")
POOL_REVISION = selector("POOL_REVISION()")
FLASHLOAN_PREMIUM_TOTAL = selector("FLASHLOAN_PREMIUM_TOTAL()")
GET_RESERVES_LIST = selector("getReservesList()")
GET_RESERVE_DATA = selector("getReserveData(address)")
GET_LIQUIDATION_GRACE_PERIOD = selector("getLiquidationGracePeriod(address)")
GET_VIRTUAL_UNDERLYING_BALANCE = selector("getVirtualUnderlyingBalance(address)")
GET_EMODE_CATEGORY_DATA = selector("getEModeCategoryData(uint8)")
GET_EMODE_COLLATERAL_CONFIG = selector("getEModeCategoryCollateralConfig(uint8)")
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
BALANCE_OF = selector("balanceOf(address)")
SYMBOL = selector("symbol()")

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

# --- words ------------------------------------------------------------------------------------


def word_of_address(value: Address) -> bytes:
    """Return an address as an ABI word."""
    return bytes(12) + bytes.fromhex(value[2:])


def word_of_int(value: int) -> bytes:
    """Return a non-negative integer as an ABI word."""
    return value.to_bytes(WORD, "big")


def int_at(data: bytes, position: int) -> int:
    """Return the word at a position as an unsigned integer."""
    return int.from_bytes(data[position * WORD : (position + 1) * WORD], "big")


def address_at(data: bytes, position: int) -> Address:
    """Return the address in the word at a position."""
    return Address("0x" + data[position * WORD + 12 : (position + 1) * WORD].hex())


def signed_at(data: bytes, position: int) -> int:
    """Return the word at a position as a signed integer."""
    return int.from_bytes(data[position * WORD : (position + 1) * WORD], "big", signed=True)


def addresses_at_start(data: bytes) -> list[Address]:
    """Return the ``address[]`` that is the only value of an answer."""
    start = int_at(data, 0) // WORD
    return [address_at(data, start + 1 + i) for i in range(int_at(data, start))]


def ask(to: Address, function: bytes) -> Call:
    """Return the call of a function without arguments."""
    return Call(to=to, data=function)


def ask_address(to: Address, function: bytes, argument: Address) -> Call:
    """Return the call of a function of one address."""
    return Call(to=to, data=function + word_of_address(argument))


def ask_int(to: Address, function: bytes, argument: int) -> Call:
    """Return the call of a function of one integer."""
    return Call(to=to, data=function + word_of_int(argument))


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


# --- symbols ----------------------------------------------------------------------------------

_SYMBOL_LIMIT: Final = 24
_MARKUP: Final = frozenset("[]<>\\\"'`{}")


def symbol_of(data: bytes, asset: Address) -> str:
    """Return a token's symbol fit for a terminal: printable, short, never empty.

    Reads the ``string`` of ERC-20 and the ``bytes32`` of older tokens. What cannot be read as
    text becomes the start of the address.
    """
    raw = data[:WORD] if len(data) == WORD else _string_bytes(data)
    text = raw.rstrip(b"\0").decode("utf-8", errors="replace").replace("\ufffd", "")
    clean = "".join(c for c in text if c.isprintable() and c not in _MARKUP).strip()
    return clean[:_SYMBOL_LIMIT] or asset[:10]


def _string_bytes(data: bytes) -> bytes:
    start = int_at(data, 0)
    if start + WORD > len(data):
        return b""
    length = int.from_bytes(data[start : start + WORD], "big")
    return data[start + WORD : start + WORD + min(length, _SYMBOL_LIMIT * 4)]

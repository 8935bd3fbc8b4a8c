"""Bytes of Morpho Blue: selectors, topics, calldata and answers."""

from typing import Final

from keeper.core.chain import Call, Log
from keeper.core.units import Address, Hash32
from keeper.evm.hashing import keccak_hash
from keeper.evm.words import (
    address_at,
    int_at,
    selector,
    topic,
    word_of_address,
    word_of_hash,
    word_of_int,
)
from keeper.protocols.morpho_blue.rules import PreTerms, Totals
from keeper.protocols.morpho_blue.state import MarketParams

# --- functions --------------------------------------------------------------------------------

_PARAMS: Final = "(address,address,address,address,uint256)"
_MARKET: Final = "(uint128,uint128,uint128,uint128,uint128,uint128)"

ID_TO_MARKET_PARAMS = selector("idToMarketParams(bytes32)")
MARKET = selector("market(bytes32)")
POSITION = selector("position(bytes32,address)")
IS_AUTHORIZED = selector("isAuthorized(address,address)")
LIQUIDATE = selector(f"liquidate({_PARAMS},address,uint256,uint256,bytes)")

RATE_AT_TARGET = selector("rateAtTarget(bytes32)")
BORROW_RATE_STORED = selector("borrowRateStored(bytes32)")
BORROW_RATE_VIEW = selector(f"borrowRateView({_PARAMS},{_MARKET})")

PRICE = selector("price()")
VAULT_GETTERS = tuple(selector(f"{name}()") for name in ("BASE_VAULT", "QUOTE_VAULT"))
FEED_GETTERS = tuple(
    selector(f"{name}()") for name in ("BASE_FEED_1", "BASE_FEED_2", "QUOTE_FEED_1", "QUOTE_FEED_2")
)

SCALE_FACTOR = selector("SCALE_FACTOR()")

FACTORY_MORPHO = selector("MORPHO()")
PRE_ID = selector("ID()")
PRE_PARAMS = selector("preLiquidationParams()")
PRE_LIQUIDATE = selector("preLiquidate(address,uint256,uint256,bytes)")

# --- events -----------------------------------------------------------------------------------

CREATE_MARKET = topic(f"CreateMarket(bytes32,{_PARAMS})")
SUPPLY_EVENT = topic("Supply(bytes32,address,address,uint256,uint256)")
WITHDRAW_EVENT = topic("Withdraw(bytes32,address,address,address,uint256,uint256)")
BORROW_EVENT = topic("Borrow(bytes32,address,address,address,uint256,uint256)")
REPAY_EVENT = topic("Repay(bytes32,address,address,uint256,uint256)")
SUPPLY_COLLATERAL_EVENT = topic("SupplyCollateral(bytes32,address,address,uint256)")
WITHDRAW_COLLATERAL_EVENT = topic("WithdrawCollateral(bytes32,address,address,address,uint256)")
LIQUIDATE_EVENT = topic(
    "Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)"
)
ACCRUE_INTEREST_EVENT = topic("AccrueInterest(bytes32,uint256,uint256,uint256)")
SET_FEE_EVENT = topic("SetFee(bytes32,uint256)")
SET_AUTHORIZATION_EVENT = topic("SetAuthorization(address,address,address,bool)")

CREATE_PRE_LIQUIDATION = topic(
    "CreatePreLiquidation(address,bytes32,(uint256,uint256,uint256,uint256,uint256,address))"
)
PRE_LIQUIDATE_EVENT = topic("PreLiquidate(bytes32,address,address,uint256,uint256,uint256)")

ORACLE_GAS: Final = 3_000_000
"""Most that one oracle may burn: anybody can create a market with an oracle that loops."""

# --- words ------------------------------------------------------------------------------------


def words_of_params(params: MarketParams) -> bytes:
    """Return market parameters as five words."""
    parties = (params.loan, params.collateral, params.oracle, params.irm)
    return b"".join((*map(word_of_address, parties), word_of_int(params.lltv)))


def id_of(params: MarketParams) -> str:
    """Mirror ``MarketParamsLib.id``."""
    return keccak_hash(words_of_params(params))


def params_at(data: bytes, position: int) -> MarketParams:
    """Return the market parameters that start at a word."""
    loan, collateral, oracle, irm = (address_at(data, position + i) for i in range(4))
    return MarketParams(loan, collateral, oracle, irm, int_at(data, position + 4))


def totals_of(data: bytes) -> tuple[Totals, int, int]:
    """Return totals, last update and fee of an answer of ``market``."""
    return Totals(*(int_at(data, i) for i in range(4))), int_at(data, 4), int_at(data, 5)


def pre_terms_of(data: bytes) -> tuple[PreTerms, Address]:
    """Return the terms and the oracle of an answer of ``preLiquidationParams``."""
    return PreTerms(*(int_at(data, i) for i in range(5))), address_at(data, 5)


def ask_market(to: Address, function: bytes, market: str) -> Call:
    """Return the call of a function of a market id."""
    return Call(to=to, data=function + word_of_hash(Hash32(market)))


def ask_position(morpho: Address, market: str, account: Address) -> Call:
    """Return the call of ``position``."""
    data = POSITION + word_of_hash(Hash32(market)) + word_of_address(account)
    return Call(to=morpho, data=data)


def ask_authorized(morpho: Address, account: Address, agent: Address) -> Call:
    """Return the call of ``isAuthorized``."""
    data = IS_AUTHORIZED + word_of_address(account) + word_of_address(agent)
    return Call(to=morpho, data=data)


def ask_price(oracle: Address) -> Call:
    """Return the call of an oracle's price."""
    return Call(to=oracle, data=PRICE, gas=ORACLE_GAS)


def ask_rate(params: MarketParams, market: bytes) -> Call:
    """Return the call of a model's rate for a market, given Morpho's own answer of ``market``."""
    return Call(to=params.irm, data=BORROW_RATE_VIEW + words_of_params(params) + market)


def liquidate(params: MarketParams, borrower: Address, seized: int, shares: int) -> bytes:
    """Return the calldata of a liquidation without callback; one of the amounts is zero."""
    head = (word_of_address(borrower), word_of_int(seized), word_of_int(shares))
    return b"".join((LIQUIDATE, words_of_params(params), *head, *_empty_bytes(9)))


def pre_liquidate(borrower: Address, seized: int, shares: int) -> bytes:
    """Return the calldata of a pre-liquidation without callback; one of the amounts is zero."""
    head = (word_of_address(borrower), word_of_int(seized), word_of_int(shares))
    return b"".join((PRE_LIQUIDATE, *head, *_empty_bytes(4)))


def word_at(log: Log, position: int) -> int:
    """Return a word of a log's data."""
    return int_at(log.data, position)


def _empty_bytes(words_of_head: int) -> tuple[bytes, bytes]:
    """Return the offset and the length of empty ``bytes`` that end a head."""
    return word_of_int(32 * words_of_head), word_of_int(0)

"""Whom and what the logs of a market change."""

import pytest

from keeper.core.chain import Log
from keeper.core.lending import AccountRef
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.protocols.aave_v3 import codec, events
from keeper.protocols.aave_v3.codec import topic, word_of_address, word_of_int
from keeper.protocols.aave_v3.state import Sentinel
from tests.support.aave_market import (
    ALICE,
    CONFIGURATOR,
    ORACLE,
    POOL,
    PROVIDER,
    TREASURY,
    USDC,
    WETH,
    market,
    token,
)

BOB = Address("0x" + "0b" * 20)
CAROL = Address("0x" + "0c" * 20)
TX = Hash32("0x" + "22" * 32)
MARKET = market()
WETH_A, USDC_V, USDC_S = token(0, 1), token(1, 3), token(1, 2)


def word(value: Address) -> Hash32:
    return Hash32("0x" + "00" * 12 + value[2:])


def log(address: Address, signature: str, *indexed: Address, data: bytes = b"", tx: Hash32 = TX):
    return Log(
        address=address,
        topics=(topic(signature), *map(word, indexed)),
        data=data,
        block_number=1,
        block_hash=Hash32("0x" + "11" * 32),
        tx_hash=tx,
        index=0,
    )


BORROW = "Borrow(address,address,address,uint256,uint8,uint256,uint16)"
MINT = "Mint(address,address,uint256,uint256,uint256)"
BURN = "Burn(address,address,uint256,uint256,uint256)"
STABLE_MINT = "Mint(address,address,uint256,uint256,uint256,uint256,uint256,uint256)"
STABLE_BURN = "Burn(address,uint256,uint256,uint256,uint256,uint256)"
BALANCE_TRANSFER = "BalanceTransfer(address,address,uint256,uint256)"
LIQUIDATION = "LiquidationCall(address,address,address,uint256,uint256,address,bool)"


@pytest.mark.parametrize(
    ("given", "accounts"),
    [
        (log(POOL, "Supply(address,address,address,uint256,uint16)", WETH, ALICE, BOB), {ALICE}),
        (log(POOL, "Withdraw(address,address,address,uint256)", WETH, ALICE, BOB), {ALICE}),
        (
            log(
                POOL,
                "Borrow(address,address,address,uint256,uint8,uint256,uint16)",
                WETH,
                ALICE,
                BOB,
            ),
            {ALICE},
        ),
        (log(POOL, "Repay(address,address,address,uint256,bool)", WETH, ALICE, BOB), {ALICE}),
        (log(POOL, "ReserveUsedAsCollateralEnabled(address,address)", WETH, ALICE), {ALICE}),
        (log(POOL, "ReserveUsedAsCollateralDisabled(address,address)", WETH, ALICE), {ALICE}),
        (log(POOL, "UserEModeSet(address,uint8)", ALICE), {ALICE}),
        (log(POOL, "DeficitCreated(address,address,uint256)", ALICE, USDC), {ALICE}),
        (log(POOL, "SwapBorrowRateMode(address,address,uint8)", USDC, ALICE), {ALICE}),
        (log(POOL, LIQUIDATION, WETH, USDC, ALICE), {ALICE}),
        (log(WETH_A, MINT, BOB, ALICE), {ALICE}),
        (log(WETH_A, BURN, ALICE, BOB), {ALICE}),
        (log(WETH_A, BALANCE_TRANSFER, ALICE, BOB), {ALICE, BOB}),
        (log(USDC_V, MINT, BOB, ALICE), {ALICE}),
        (log(USDC_S, STABLE_MINT, BOB, ALICE), {ALICE}),
        (log(USDC_S, STABLE_BURN, ALICE), {ALICE}),
    ],
    ids=lambda one: one.topics[0][:10] if isinstance(one, Log) else "",
)
def test_accounts_that_a_log_changes(given, accounts):
    found = events.touched(MARKET, [given])
    assert found.accounts == {AccountRef(market=POOL, account=one) for one in accounts}
    assert not found.structure


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (
            log(POOL, "ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)", WETH),
            {WETH},
        ),
        (log(POOL, LIQUIDATION, WETH, USDC, ALICE), {WETH, USDC}),
        (log(CONFIGURATOR, "ReservePaused(address,bool)", USDC), {USDC}),
        (
            log(
                CONFIGURATOR,
                "CollateralConfigurationChanged(address,uint256,uint256,uint256)",
                WETH,
            ),
            {WETH},
        ),
        (log(CONFIGURATOR, "LiquidationGracePeriodChanged(address,uint40)", WETH), {WETH}),
    ],
    ids=lambda one: one.topics[0][:10] if isinstance(one, Log) else "",
)
def test_reserves_that_a_log_changes(given, parts):
    found = events.touched(MARKET, [given])
    assert found.parts == parts
    assert not found.structure


@pytest.mark.parametrize(
    "given",
    [
        log(CONFIGURATOR, "ReserveInitialized(address,address,address,address,address)", WETH),
        log(CONFIGURATOR, "EModeCategoryAdded(uint8,uint256,uint256,uint256,address,string)"),
        log(CONFIGURATOR, "AssetCollateralInEModeChanged(address,uint8,bool)", WETH),
        log(ORACLE, "AssetSourceUpdated(address,address)", WETH, BOB),
        log(PROVIDER, "PriceOracleUpdated(address,address)", ORACLE, BOB),
        log(PROVIDER, "AddressSet(bytes32,address,address)", ALICE, ORACLE, BOB),
        log(PROVIDER, "AddressSetAsProxy(bytes32,address,address,address)", ALICE, ORACLE, BOB),
        log(POOL, "Upgraded(address)", BOB),
        log(WETH_A, "Upgraded(address)", BOB),
    ],
    ids=lambda one: one.topics[0][:10],
)
def test_logs_after_which_the_market_is_read_from_its_root(given):
    assert events.touched(MARKET, [given]).structure
    assert given.address in events.log_filter(MARKET).addresses
    assert given.topics[0] in events.log_filter(MARKET).topics


def test_the_sequencers_status_is_a_part():
    feed = Address("0x" + "5e" * 20)
    guarded = market(
        sentinel=Sentinel(address=BOB, feed=CAROL, aggregator=feed, grace_s=1, is_up=True, since=0)
    )
    given = log(feed, "AnswerUpdated(int256,uint256,uint256)", ALICE, ALICE)
    assert events.touched(guarded, [given]).parts == {events.SEQUENCER_PART}
    assert feed in events.log_filter(guarded).addresses


def test_a_log_without_topics_changes_nothing():
    bare = replace(log(POOL, LIQUIDATION), topics=())
    found = events.touched(MARKET, [bare])
    assert (found.accounts, found.parts, found.structure) == (frozenset(), frozenset(), False)


def liquidation(account: Address, net: int, *, tx: Hash32 = TX) -> Log:
    data = b"".join((word_of_int(500), word_of_int(net), word_of_address(CAROL), word_of_int(0)))
    return log(POOL, LIQUIDATION, WETH, USDC, account, data=data, tx=tx)


def paid(account: Address, amount: int, *, tx: Hash32 = TX) -> Log:
    data = word_of_int(amount)
    return log(WETH_A, "Transfer(address,address,uint256)", account, TREASURY, data=data, tx=tx)


def test_a_liquidation_is_gross_of_the_fee_that_went_to_the_treasury():
    (found,) = events.liquidations(MARKET, [paid(ALICE, 7), liquidation(ALICE, 100)])
    assert (found.repaid, found.seized, found.protocol_fee) == (500, 107, 7)
    assert (found.collateral, found.debt, found.liquidator) == (WETH, USDC, CAROL)
    assert found.ref == AccountRef(market=POOL, account=ALICE)


def test_each_liquidation_of_a_transaction_has_its_own_fee():
    logs = [
        paid(ALICE, 7),
        liquidation(ALICE, 100),
        liquidation(ALICE, 200),
        paid(BOB, 9),
        liquidation(BOB, 300),
    ]
    found = events.liquidations(MARKET, logs)
    assert [one.protocol_fee for one in found] == [7, 0, 9]


def test_a_transfer_of_another_account_or_transaction_is_no_fee():
    other = Hash32("0x" + "33" * 32)
    logs = [paid(ALICE, 7, tx=other), paid(BOB, 8), liquidation(ALICE, 100)]
    (found,) = events.liquidations(MARKET, logs)
    assert found.protocol_fee == 0


def test_a_liquidation_of_another_pool_is_not_ours():
    assert events.liquidations(MARKET, [replace(liquidation(ALICE, 1), address=BOB)]) == ()


def test_discovery_asks_the_pool_for_loans_alone():
    wanted = events.discovery_filter(MARKET)
    assert wanted.addresses == {POOL}
    assert wanted.topics == {topic(BORROW)}


def test_the_filter_names_every_contract_of_the_market():
    addresses = events.log_filter(MARKET).addresses
    tokens = {token(number, kind) for number in range(3) for kind in (1, 2, 3)}
    assert addresses == {POOL, CONFIGURATOR, ORACLE, PROVIDER, *tokens}


def test_transfers_are_decoded_and_not_watched():
    assert codec.TRANSFER not in events.log_filter(MARKET).topics

"""Bytes of Aave V3 against its ABI."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode

import keeper.protocols.aave_v3.codec as codec_module
from keeper.core.units import Address
from keeper.protocols.aave_v3 import codec, events
from keeper.protocols.aave_v3.refusals import NUMBERS, Refusal, revert_data

ABI = json.loads((Path(__file__).parents[2] / "abis" / "aave_v3.json").read_text("utf-8"))
ASSET = Address("0x" + "ab" * 20)


def type_of(entry: dict) -> str:
    if entry["type"] != "tuple":
        return entry["type"]
    return "(" + ",".join(map(type_of, entry["components"])) + ")"


def signatures(kind: str) -> set[str]:
    return {
        f"{entry['name']}({','.join(map(type_of, entry['inputs']))})"
        for entry in ABI
        if entry["type"] == kind
    }


def test_every_selector_is_a_function_of_the_abi_and_none_is_unused():
    used = {
        value
        for name, value in vars(codec_module).items()
        if name.isupper() and isinstance(value, bytes) and len(value) == 4
    }
    assert used == set(map(codec.selector, signatures("function")))


def test_every_topic_is_an_event_of_the_abi_and_none_is_unused():
    used = {
        codec.TRANSFER,
        *events.POOL_ACCOUNTS,
        *events.POOL_RESERVES,
        *events.TOKEN_ACCOUNTS,
        *events.RESERVE_SETTINGS,
        *events.STRUCTURE,
        *events.SEQUENCER,
    }
    assert used == set(map(codec.topic, signatures("event")))


@pytest.mark.parametrize(
    ("topic", "prefix"),
    [
        (codec.LIQUIDATION_CALL_EVENT, "0xe413a321"),
        (codec.topic("UserEModeSet(address,uint8)"), "0xd728da87"),
        (codec.topic("ReserveUsedAsCollateralEnabled(address,address)"), "0x00058a56"),
        (codec.topic("BalanceTransfer(address,address,uint256,uint256)"), "0x4beccb90"),
    ],
)
def test_topics_are_those_seen_on_chain(topic, prefix):
    assert topic.startswith(prefix)


def test_liquidation_calldata_is_what_the_abi_encodes():
    debt, account = Address("0x" + "cd" * 20), Address("0x" + "ef" * 20)
    expected = bytes.fromhex("00a718a9") + encode(
        ["address", "address", "address", "uint256", "bool"], [ASSET, debt, account, 2**200, False]
    )
    assert codec.liquidation_call(ASSET, debt, account, 2**200) == expected


def test_a_list_of_addresses_is_read_in_order():
    other = Address("0x" + "12" * 20)
    data = encode(["address[]"], [[ASSET, other]])
    assert codec.addresses_at_start(data) == [ASSET, other]


@pytest.mark.parametrize(
    ("data", "symbol"),
    [
        (encode(["string"], ["USDC"]), "USDC"),
        (encode(["string"], ["USD₮0"]), "USD₮0"),
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (b"", "0xabababab"),
        (b"\x20", "0xabababab"),
        (encode(["string"], [""]), "0xabababab"),
        (encode(["bytes"], [b"\xff\xfeOK"]), "OK"),
        (encode(["string"], ["A\x1b[31mB\u202e\n"]), "A31mB"),
        (encode(["string"], ["X" * 500]), "X" * 24),
        (encode(["uint256", "uint256"], [2**255, 1]), "0xabababab"),
    ],
)
def test_symbols_are_made_fit_to_print(data, symbol):
    assert codec.symbol_of(data, ASSET) == symbol


@pytest.mark.parametrize(
    ("refusal", "selector"),
    [
        (Refusal.SELF_LIQUIDATION, "44511af1"),
        (Refusal.RESERVE_INACTIVE, "90cd6f24"),
        (Refusal.RESERVE_PAUSED, "d37f5f1c"),
        (Refusal.SENTINEL, "91037009"),
        (Refusal.GRACE_PERIOD, "9e3e6060"),
        (Refusal.HEALTHY, "930bb771"),
        (Refusal.NOT_COLLATERAL, "979b5ce8"),
        (Refusal.NOT_BORROWED, "3653732b"),
        (Refusal.DUST, "b629b0e4"),
        (Refusal.BURN_OF_NOTHING, "2075cc10"),
    ],
)
def test_refusals_are_the_custom_errors_of_3_4(refusal, selector):
    assert revert_data(refusal, custom_errors=True).hex() == selector


@pytest.mark.parametrize("refusal", NUMBERS)
def test_refusals_are_numbered_strings_before(refusal):
    expected = codec.selector("Error(string)") + encode(["string"], [NUMBERS[refusal]])
    assert revert_data(refusal, custom_errors=False) == expected

"""Bytes of Morpho Blue against its ABI."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode

import keeper.protocols.morpho_blue.codec as codec_module
from keeper.core.units import WAD, Address
from keeper.evm.words import selector, topic
from keeper.protocols.morpho_blue import codec
from keeper.protocols.morpho_blue.refusals import Refusal, revert_data
from keeper.protocols.morpho_blue.state import MarketParams

ABI = json.loads((Path(__file__).parents[2] / "abis" / "morpho_blue.json").read_text("utf-8"))
LOAN, COLLATERAL, ORACLE, IRM, BORROWER = (
    Address("0x" + f"{number:02x}" * 20) for number in range(1, 6)
)
PARAMS = MarketParams(LOAN, COLLATERAL, ORACLE, IRM, 86 * 10**16)
STRUCT = "(address,address,address,address,uint256)"


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
    assert used | set(codec.FEED_GETTERS) == set(map(selector, signatures("function")))


def test_every_topic_is_an_event_of_the_abi_and_none_is_unused():
    used = {
        value
        for name, value in vars(codec_module).items()
        if name.endswith("_EVENT") or name.startswith("CREATE_")
    }
    assert used == set(map(topic, signatures("event")))


@pytest.mark.parametrize(
    ("found", "prefix"),
    [
        (codec.CREATE_MARKET, "0xac4b2400"),
        (codec.LIQUIDATE_EVENT, "0xa4946ede"),
        (codec.ACCRUE_INTEREST_EVENT, "0x9d9bd501"),
        (codec.SET_AUTHORIZATION_EVENT, "0xd5e969f0"),
        (codec.CREATE_PRE_LIQUIDATION, "0xc36ddf25"),
    ],
)
def test_topics_are_those_that_the_live_contracts_emit(found: str, prefix: str):
    assert found.startswith(prefix)


def test_selectors_are_those_of_the_live_contracts():
    assert codec.LIQUIDATE.hex() == "d8eabcb8"
    assert codec.PRE_LIQUIDATE.hex() == "3078f50a"


def test_liquidations_are_encoded_as_the_abi_says():
    arguments = (tuple(PARAMS), BORROWER, 7, 0, b"")
    expected = encode([STRUCT, "address", "uint256", "uint256", "bytes"], arguments)
    assert codec.liquidate(PARAMS, BORROWER, 7, 0) == codec.LIQUIDATE + expected
    early = encode(["address", "uint256", "uint256", "bytes"], (BORROWER, 0, 9, b""))
    assert codec.pre_liquidate(BORROWER, 0, 9) == codec.PRE_LIQUIDATE + early


def test_the_id_of_a_market_that_is_live_on_base():
    params = MarketParams(
        Address("0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"),
        Address("0x4200000000000000000000000000000000000006"),
        Address("0xfea2d58cefcb9fcb597723c6bae66ffe4193afe4"),
        Address("0x46415998764c29ab2a25cbea6254146d50d22687"),
        86 * WAD // 100,
    )
    expected = "0x8793cf302b8ffd655ab97bd1c695dbd967807e8367a65cb2f4edaf1380ba1bda"
    assert codec.id_of(params) == expected


def test_parameters_come_back_from_their_words():
    assert codec.params_at(bytes(32) + codec.words_of_params(PARAMS), 1) == PARAMS


@pytest.mark.parametrize("refusal", [Refusal.HEALTHY, Refusal.INCONSISTENT_INPUT])
def test_reasons_are_strings(refusal: Refusal):
    expected = selector("Error(string)") + encode(["string"], [refusal.value])
    assert revert_data(refusal) == expected


def test_panics_and_custom_errors_are_themselves():
    assert revert_data(Refusal.UNDERFLOW) == selector("Panic(uint256)") + encode(["uint256"], [17])
    assert revert_data(Refusal.LIQUIDATABLE) == selector("LiquidatablePosition()")

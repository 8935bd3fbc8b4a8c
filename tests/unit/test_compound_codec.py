"""Bytes of the Compound family against its ABIs: Compound's own, and what Venus adds."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.core.lending import Held, Option, SeizeQuote
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.evm.words import selector, topic
from keeper.protocols.compound_v2 import calls, codec, events
from keeper.protocols.compound_v2.parameters import BORROWS_SLOT
from keeper.protocols.compound_v2.state import Action
from tests.support.compound_market import (
    ALICE,
    CONTROLLER,
    LIQUIDATOR,
    MARKETS,
    THROUGH,
    TOKENS,
    USDC,
    VAI,
    WETH,
    deployment,
    vai,
    view,
)

ABIS = Path(__file__).parents[2] / "abis"
ABI = [
    entry
    for name in ("compound_v2", "venus")
    for entry in json.loads((ABIS / f"{name}.json").read_text("utf-8"))
]
OPTION = Option(collateral=WETH, debt=USDC, max_repay=10, key=f"{TOKENS[0]}:{TOKENS[1]}")
QUOTE = SeizeQuote(repay=10, seized=5, protocol_fee=1)


def type_of(entry: dict) -> str:
    if not entry["type"].startswith("tuple"):
        return entry["type"]
    inner = ",".join(map(type_of, entry["components"]))
    return f"({inner}){entry['type'].removeprefix('tuple')}"


def signatures(kind: str) -> list[str]:
    return [
        f"{entry['name']}({','.join(map(type_of, entry['inputs']))})"
        for entry in ABI
        if entry["type"] == kind
    ]


def test_every_selector_is_a_function_of_an_abi_and_none_is_unused():
    used = {
        value
        for name, value in vars(codec).items()
        if name.isupper() and isinstance(value, bytes) and len(value) == 4
    }
    assert used == set(map(selector, signatures("function")))


def test_every_topic_is_an_event_of_an_abi_and_none_is_unused():
    used = events.log_filter(deployment()).topics.union(
        codec.REDEEMED, (codec.FAILURE, codec.REDEEM_FEE, codec.LIQUIDATED_THROUGH)
    )
    assert used == set(map(topic, signatures("event")))


@pytest.mark.parametrize(
    ("found", "prefix"),
    [
        (codec.LIQUIDATE_BORROW, "0x298637f6"),
        (codec.FAILURE, "0x45b96fe4"),
        (topic("AccrueInterest(uint256,uint256,uint256,uint256)"), "0x4dec04e7"),
    ],
)
def test_topics_are_those_that_the_live_contracts_emit(found: str, prefix: str):
    assert found.startswith(prefix)


def test_selectors_are_those_of_the_live_contracts():
    assert codec.LIQUIDATE.hex() == "f5e3c462"
    assert codec.LIQUIDATE_NATIVE.hex() == "aae40a2a"
    assert codec.LIQUIDATE_THROUGH.hex() == "64fd7078"
    assert codec.LIQUIDATE_VAI.hex() == "11b3d5e7"


def test_actions_are_numbered_as_venus_numbers_them():
    assert [(one.name, one.value) for one in Action] == [
        ("REDEEM", 1),
        ("REPAY", 3),
        ("SEIZE", 4),
        ("LIQUIDATE", 5),
        ("TRANSFER", 6),
    ]


def test_calldata_is_what_the_abi_makes_of_it():
    words = encode(["address", "uint256", "address"], [ALICE, 7, TOKENS[0]])
    assert codec.liquidate(ALICE, 7, TOKENS[0]) == codec.LIQUIDATE + words
    words = encode(["address", "address", "uint256", "address"], [TOKENS[1], ALICE, 7, TOKENS[0]])
    through = codec.liquidate_through(TOKENS[1], ALICE, 7, TOKENS[0])
    assert through == codec.LIQUIDATE_THROUGH + words
    words = encode(["address", "address"], [ALICE, TOKENS[0]])
    assert codec.liquidate_native(ALICE, TOKENS[0]) == codec.LIQUIDATE_NATIVE + words


def test_debts_are_stored_where_solidity_puts_them():
    account = Address("0x" + "00" * 19 + "01")
    slot = codec.borrow_slot(account, BORROWS_SLOT)
    assert slot == int.from_bytes(keccak(encode(["address", "uint256"], [account, BORROWS_SLOT])))
    assert slot != codec.borrow_slot(account, BORROWS_SLOT + 1)


def test_a_market_is_liquidated_directly_where_there_is_no_liquidator():
    liquidate, redeem = calls.liquidating(view(), ALICE, OPTION, QUOTE)
    assert (liquidate.target, liquidate.spender, liquidate.token) == (TOKENS[1], TOKENS[1], USDC)
    assert liquidate.data == codec.liquidate(ALICE, 10, TOKENS[0])
    assert liquidate.amount == 10
    assert (redeem.target, redeem.held) == (TOKENS[0], {0: Held(token=TOKENS[0])})


def test_the_liquidator_contract_is_what_is_paid_where_there_is_one():
    seen = view(deployment(liquidator=THROUGH))
    liquidate, _ = calls.liquidating(seen, ALICE, OPTION, QUOTE)
    assert (liquidate.target, liquidate.spender) == (LIQUIDATOR, LIQUIDATOR)
    assert liquidate.data == codec.liquidate_through(TOKENS[1], ALICE, 10, TOKENS[0])


def test_vai_is_liquidated_by_its_controller_where_there_is_no_liquidator():
    option = Option(collateral=WETH, debt=VAI, max_repay=10, key=f"{TOKENS[0]}:{CONTROLLER}")
    quote = SeizeQuote(repay=9, offer=10, seized=5, protocol_fee=0)
    liquidate, redeem = calls.liquidating(view(deployment(vai=vai())), ALICE, option, quote)
    words = encode(["address", "uint256", "address"], [ALICE, 10, TOKENS[0]])
    assert liquidate.data == codec.LIQUIDATE_VAI + words
    assert (liquidate.target, liquidate.spender) == (CONTROLLER, CONTROLLER)
    assert (liquidate.token, liquidate.amount) == (VAI, 9)
    assert redeem.target == TOKENS[0]


def test_vai_goes_through_the_liquidator_by_its_controller_s_name():
    option = Option(collateral=WETH, debt=VAI, max_repay=10, key=f"{TOKENS[0]}:{CONTROLLER}")
    seen = view(deployment(liquidator=THROUGH, vai=vai()))
    liquidate, _ = calls.liquidating(seen, ALICE, option, QUOTE)
    assert liquidate.data == codec.liquidate_through(CONTROLLER, ALICE, 10, TOKENS[0])
    assert (liquidate.target, liquidate.token, liquidate.amount) == (LIQUIDATOR, VAI, 10)


def test_markets_that_help_are_accrued_first():
    quote = SeizeQuote(repay=10, seized=5, protocol_fee=1, inputs=(2, 0))
    first, second, *_ = calls.liquidating(view(), ALICE, OPTION, quote)
    assert [first.target, second.target] == [TOKENS[2], TOKENS[0]]
    assert first.data == second.data == codec.ACCRUE_INTEREST


def native(number: int):
    return deployment(tuple(replace(m, native=m.number == number) for m in MARKETS))


def test_native_debt_is_unwrapped_and_sent_along():
    unwrap, liquidate, _ = calls.liquidating(view(native(1)), ALICE, OPTION, QUOTE)
    assert unwrap.target == USDC
    assert unwrap.data == codec.WITHDRAW + (10).to_bytes(32)
    assert (liquidate.value, liquidate.token, liquidate.amount) == (10, None, 0)
    assert liquidate.data == codec.liquidate_native(ALICE, TOKENS[0])


def test_native_collateral_is_wrapped_whole():
    *_, wrap = calls.liquidating(view(native(0)), ALICE, OPTION, QUOTE)
    assert (wrap.target, wrap.data, wrap.value) == (WETH, codec.DEPOSIT, Held(token=None))

"""Venus's isolated pools: bytes against the ABI, events, and whole accounts by hand."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode

from keeper.core.chain import Log
from keeper.core.errors import ConfigError
from keeper.core.lending import AccountRef, Held, Option, SeizeQuote
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.evm.words import selector, topic
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.registry import adapter_for
from keeper.protocols.venus_isolated import calls, codec, decoding, events, rules
from keeper.protocols.venus_isolated.case import Way
from keeper.protocols.venus_isolated.health import assess
from keeper.protocols.venus_isolated.liquidation import options, seize
from keeper.protocols.venus_isolated.reads import pools_listed
from keeper.protocols.venus_isolated.refusals import PoolRefusedError, Refusal
from keeper.protocols.venus_isolated.state import Action, Deployment, Position
from tests.support.isolated_pools import (
    ALICE,
    MAIN,
    MARKETS,
    MODEL,
    OTHER,
    REGISTRY,
    TOKENS,
    USDC,
    WETH,
    account,
    deployment,
    owed,
    place,
    pool,
    ref,
    tokens,
    view,
)

ABI = json.loads((Path(__file__).parents[2] / "abis/venus_isolated.json").read_text("utf-8"))
BOB = place(0x0B)


def type_of(entry: dict) -> str:
    if not entry["type"].startswith("tuple"):
        return entry["type"]
    inner = ",".join(map(type_of, entry["components"]))
    return f"({inner}){entry['type'].removeprefix('tuple')}"


def signatures(kind: str) -> set[str]:
    return {
        f"{entry['name']}({','.join(map(type_of, entry['inputs']))})"
        for entry in ABI
        if entry["type"] == kind
    }


def selectors(module) -> set[bytes]:
    return {
        value
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, bytes) and len(value) == 4
    }


def test_every_selector_is_a_function_of_the_abi_and_none_is_unused():
    functions = set(map(selector, signatures("function")))
    assert selectors(codec) <= functions <= selectors(codec) | selectors(family)


def test_every_topic_is_an_event_of_the_abi_and_none_is_unused():
    assert events.log_filter(deployment()).topics == set(map(topic, signatures("event")))


def test_custom_errors_are_those_of_the_abi():
    assert {one.value for one in Refusal if one.value.endswith(")")} == signatures("error")


def test_calldata_is_what_the_abi_makes_of_it():
    order = "(address,address,uint256)[]"
    words = encode(["address", order], [ALICE, [(TOKENS[0], TOKENS[1], 7)]])
    found = codec.liquidate_account(ALICE, TOKENS[0], TOKENS[1], 7)
    assert found == codec.LIQUIDATE_ACCOUNT + words
    assert codec.heal_account(ALICE) == codec.HEAL_ACCOUNT + encode(["address"], [ALICE])


def test_pools_are_found_among_texts_of_any_length():
    pools = [("", ALICE, MAIN, 1, 2), ("a name that is longer than a word is", BOB, OTHER, 3, 4)]
    data = encode(["(string,address,address,uint256,uint256)[]"], [pools])
    assert pools_listed(data) == [MAIN, OTHER]
    assert pools_listed(encode(["(string,address,address,uint256,uint256)[]"], [[]])) == []


# --- whole accounts ---------------------------------------------------------------------------


def small(dollars: int, cents: int) -> Position:
    return account({0: tokens(0, dollars)}, {1: owed(1, cents)})


def ways(position: Position, seen: Deployment | None = None) -> dict[Way, Option]:
    found = options(seen or view(), position)
    return {Way(one.key.split(":")[0]): one for one in found}


def test_above_the_least_collateral_a_part_is_liquidated():
    assert set(ways(small(150, 13_000))) == {Way.BORROW}


def test_collateral_of_the_least_is_little():
    """``MinimalCollateralViolated`` is for as little as that."""
    position, still = small(150, 13_000), tuple(replace(one, rate=0) for one in MARKETS)
    total = assess(view(deployment(still)), position).collateral_base
    for least, way in ((total - 1, Way.BORROW), (total, Way.ACCOUNT)):
        pools = {MAIN: replace(pool(MAIN), least_collateral=least), OTHER: pool(OTHER)}
        seen = view(deployment(still, pools=pools))
        assert assess(seen, position).liquidatable
        assert set(ways(position, seen)) == {way}


def test_little_collateral_that_covers_is_liquidated_as_a_whole():
    position = small(90, 7_500)
    found = ways(position)
    assert set(found) == {Way.ACCOUNT}
    option = found[Way.ACCOUNT]
    assert seize(view(), position, option, option.max_repay).repay == option.max_repay
    with pytest.raises(PoolRefusedError) as refused:
        seize(view(), position, option, option.max_repay - 1)
    assert refused.value.refusal is Refusal.DEBT_LEFT


def test_little_collateral_that_does_not_cover_is_healed_for_what_it_is_worth():
    position = small(90, 9_500)
    found = ways(position)
    assert set(found) == {Way.HEAL}
    option = found[Way.HEAL]
    quote = seize(view(), position, option, option.max_repay)
    worth = 90 * 10**6 * 10 // 11
    assert abs(quote.repay - worth) < worth // 1_000
    assert quote.headroom > 0
    with pytest.raises(PoolRefusedError) as refused:
        seize(view(), position, option, option.max_repay - 1)
    assert refused.value.refusal is Refusal.NOT_THE_SHARE


def test_a_whole_account_of_several_debts_is_not_offered():
    position = account({0: tokens(0, 90)}, {1: owed(1, 5_000), 2: owed(2, 4_500)})
    assert options(view(), position) == ()


def test_the_protocol_s_part_is_of_what_was_repaid_not_of_what_was_seized():
    taken = rules.protocol_tokens(11 * 10**8, share=5 * WAD // 100, incentive=11 * WAD // 10)
    assert taken == 5 * 10**7


def test_bad_debt_counts_in_the_exchange_rate():
    stored = MARKETS[0].stored
    with_it = rules.exchange_rate(stored, stored.borrows, WAD)
    assert with_it > rules.exchange_rate(stored, 0, WAD)


@pytest.mark.parametrize(
    ("way", "target"), [(Way.BORROW, TOKENS[1]), (Way.ACCOUNT, MAIN), (Way.HEAL, MAIN)]
)
def test_whoever_is_called_the_debt_s_market_takes_the_pay(way: Way, target: Address):
    option = Option(collateral=WETH, debt=USDC, max_repay=10, key=f"{way}:{TOKENS[0]}:{TOKENS[1]}")
    quote = SeizeQuote(repay=10, seized=5, protocol_fee=1, inputs=(2,), headroom=1)
    accrue, liquidate, redeem = calls.liquidating(view(), ALICE, option, quote)
    assert (accrue.target, accrue.data) == (TOKENS[2], family.ACCRUE_INTEREST)
    assert (liquidate.target, liquidate.spender, liquidate.token) == (target, TOKENS[1], USDC)
    assert liquidate.amount == 11
    assert (redeem.target, redeem.held) == (TOKENS[0], {0: Held(token=TOKENS[0])})


# --- events -----------------------------------------------------------------------------------


def word(value: Address) -> Hash32:
    return Hash32("0x" + value[2:].rjust(64, "0"))


def log(where: Address, *topics: str, data: bytes = b"", index: int = 0) -> Log:
    return Log(
        address=where,
        topics=tuple(Hash32(one) for one in topics),
        data=data,
        block_number=1,
        block_hash=Hash32("0x" + "11" * 32),
        tx_hash=Hash32("0x" + "22" * 32),
        index=index,
    )


@pytest.mark.parametrize(
    ("one", "accounts"),
    [
        (log(TOKENS[0], family.BORROW, word(ALICE)), {ALICE}),
        (log(TOKENS[0], family.REPAY_BORROW, word(BOB), word(ALICE)), {ALICE}),
        (log(TOKENS[0], codec.HEALED, word(BOB), word(ALICE)), {ALICE}),
        (log(TOKENS[0], family.TRANSFER, word(BOB), word(ALICE)), {ALICE, BOB}),
        (log(TOKENS[0], family.TRANSFER, word(TOKENS[0]), word(ALICE)), {ALICE}),
    ],
)
def test_a_market_s_event_touches_accounts_of_its_pool(one: Log, accounts: set[Address]):
    touched = events.touched(deployment(), [one])
    assert touched.accounts == {AccountRef(market=MAIN, account=who) for who in accounts}
    assert touched.parts == {TOKENS[0]}
    assert not touched.structure


def test_entering_a_market_touches_the_account_alone():
    entered = topic("MarketEntered(address,address)")
    touched = events.touched(deployment(), [log(OTHER, entered, word(TOKENS[3]), word(ALICE))])
    assert touched.accounts == {AccountRef(market=OTHER, account=ALICE)}
    assert (touched.parts, touched.structure) == (frozenset(), False)


def test_new_figures_of_a_rate_model_touch_the_markets_that_use_it():
    changed = topic("NewInterestParams(uint256,uint256,uint256,uint256)")
    touched = events.touched(deployment(), [log(MODEL, changed)])
    assert touched.parts == set(TOKENS)


def test_a_pool_that_is_registered_changes_the_structure():
    added = topic("PoolRegistered(address,(string,address,address,uint256,uint256))")
    assert events.touched(deployment(), [log(REGISTRY, added, word(OTHER))]).structure


def test_healing_is_told_by_its_own_event_wherever_the_seizure_comes():
    debt = log(TOKENS[1], codec.HEALED, word(BOB), word(ALICE), data=(40).to_bytes(32))
    handed = log(TOKENS[0], family.TRANSFER, word(ALICE), word(BOB), data=(95).to_bytes(32))
    kept = log(TOKENS[0], codec.PROTOCOL_SEIZED, word(ALICE), word(REGISTRY), data=(3).to_bytes(32))
    redeemed = log(
        TOKENS[0],
        codec.REDEEMED,
        word(BOB),
        data=b"".join(one.to_bytes(32) for one in (50, 95, 0)),
    )
    for order in ((debt, handed, kept, redeemed), (handed, kept, debt, redeemed)):
        (found,) = decoding.liquidations(view(), order)
        assert (found.ref, found.liquidator) == (ref(), BOB)
        assert (found.repaid, found.seized, found.protocol_fee) == (40, 53, 3)
        assert (found.collateral, found.debt) == (WETH, USDC)


def test_of_what_was_redeemed_along_with_others_it_is_a_part():
    debt = log(TOKENS[1], codec.HEALED, word(BOB), word(ALICE), data=(40).to_bytes(32))
    handed = log(TOKENS[0], family.TRANSFER, word(ALICE), word(BOB), data=(95).to_bytes(32))
    kept = log(TOKENS[0], codec.PROTOCOL_SEIZED, word(ALICE), word(REGISTRY), data=(3).to_bytes(32))
    redeemed = log(
        TOKENS[0],
        codec.REDEEMED,
        word(BOB),
        data=b"".join(one.to_bytes(32) for one in (100, 190, 0)),
    )
    (found,) = decoding.liquidations(view(), (debt, handed, kept, redeemed))
    assert (found.seized, found.protocol_fee, found.slack) == (53, 3, 1)


def test_debt_that_is_forgiven_for_nothing_is_no_liquidation():
    debt = log(TOKENS[1], codec.HEALED, word(BOB), word(ALICE), data=bytes(32))
    assert decoding.liquidations(view(), [debt]) == ()


def test_a_pause_stops_what_it_names():
    for action, number in ((Action.LIQUIDATE, 1), (Action.SEIZE, 0), (Action.REDEEM, 0)):
        paused = tuple(
            replace(one, paused=frozenset((action,))) if one.number == number else one
            for one in MARKETS
        )
        assert options(view(deployment(paused)), small(150, 13_000)) == ()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({}, "pool_registry"),
        ({"pool_registry": "0x12"}, "address"),
        ({"pool_registry": REGISTRY, "comptroller": MAIN}, "comptroller"),
        ({"pool_registry": REGISTRY, "account_borrows_slot": -1}, "account_borrows_slot"),
    ],
)
def test_wrong_parameters_are_named(parameters, named):
    with pytest.raises(ConfigError, match=named):
        adapter_for("venus_isolated", deployment="a.b", start_block=1, parameters=parameters)

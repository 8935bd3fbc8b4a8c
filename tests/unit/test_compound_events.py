"""Whom and what logs of the family change, and the liquidations among them."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.chain import Log
from keeper.core.units import WAD, Address, Hash32
from keeper.core.values import replace
from keeper.evm.words import topic, word_of_address, word_of_int
from keeper.protocols.compound_v2 import codec, decoding, events, rules
from tests.support.compound_market import (
    ALICE,
    COMPTROLLER,
    CONTROLLER,
    LIQUIDATOR,
    MARKETS,
    THROUGH,
    TOKENS,
    USDC,
    WETH,
    deployment,
    ref,
    vai,
    view,
)

BOB, CAROL = (Address("0x" + f"{number:02x}" * 20) for number in (0x0B, 0x0C))
MARKET_ENTERED = topic("MarketEntered(address,address)")


def word(value: Address) -> Hash32:
    return Hash32("0x" + word_of_address(value).hex())


def log(
    address: Address, first: Hash32, *words: Address | int, topics: tuple[Address, ...] = ()
) -> Log:
    data = b"".join(
        word_of_int(one) if isinstance(one, int) else word_of_address(one) for one in words
    )
    return Log(
        address=address,
        topics=(first, *map(word, topics)),
        data=data,
        block_number=1,
        block_hash=Hash32("0x" + "11" * 32),
        tx_hash=Hash32("0x" + "22" * 32),
        index=0,
    )


def test_a_loan_touches_its_borrower_and_its_market():
    found = events.touched(deployment(), [log(TOKENS[1], codec.BORROW, ALICE, 1, 2, 3)])
    assert (found.accounts, found.parts) == ({ref()}, {TOKENS[1]})
    assert not found.structure


def test_a_repayment_touches_the_borrower_not_the_payer():
    found = events.touched(deployment(), [log(TOKENS[1], codec.REPAY_BORROW, BOB, ALICE, 1, 2, 3)])
    assert found.accounts == {ref()}


def test_a_transfer_touches_both_sides_and_never_the_market():
    sent = log(TOKENS[0], codec.TRANSFER, 5, topics=(ALICE, BOB))
    minted = log(TOKENS[0], codec.TRANSFER, 5, topics=(TOKENS[0], CAROL))
    found = events.touched(deployment(), [sent, minted])
    assert found.accounts == {ref(), ref(BOB), ref(CAROL)}


def test_entering_a_market_is_told_in_topics_or_in_data():
    in_topics = log(COMPTROLLER, MARKET_ENTERED, topics=(TOKENS[0], ALICE))
    in_data = log(COMPTROLLER, MARKET_ENTERED, TOKENS[0], BOB)
    assert events.touched(deployment(), [in_topics]).accounts == {ref()}
    assert events.touched(deployment(), [in_data]).accounts == {ref(BOB)}


def test_a_setting_is_a_change_of_structure():
    for signature in ("NewCloseFactor(uint256,uint256)", "ActionPaused(string,bool)"):
        found = events.touched(deployment(), [log(COMPTROLLER, topic(signature), 1, 2)])
        assert found.structure


def test_minting_vai_touches_the_minter():
    of = deployment(vai=vai())
    minted = log(CONTROLLER, codec.MINT_VAI, ALICE, 5)
    assert events.touched(of, [minted]).accounts == {ref()}
    assert events.touched(deployment(), [minted]).accounts == frozenset()
    assert CONTROLLER in events.discovery_filter(of).addresses


def liquidation_logs(liquidator: Address, tokens: int) -> list[Log]:
    return [log(TOKENS[1], codec.LIQUIDATE_BORROW, liquidator, ALICE, 1_000, TOKENS[0], tokens)]


def test_what_was_redeemed_tells_the_rate():
    redeem = topic("Redeem(address,uint256,uint256)")
    logs = [*liquidation_logs(BOB, 50), log(TOKENS[0], redeem, BOB, 700, 50)]
    (found,) = decoding.liquidations(view(), logs)
    assert (found.liquidator, found.repaid, found.seized, found.protocol_fee) == (
        BOB,
        1_000,
        700,
        0,
    )
    assert (found.collateral, found.debt, found.ref) == (WETH, USDC, ref())


def test_ctokens_that_are_kept_count_at_the_known_rate():
    seen = view()
    (found,) = decoding.liquidations(seen, liquidation_logs(BOB, 10**10))
    assert found.seized == seen.lines[0].stored_rate * 10**10 // WAD


def test_another_ones_redemption_is_not_the_liquidators():
    redeem = topic("Redeem(address,uint256,uint256)")
    logs = [*liquidation_logs(BOB, 50), log(TOKENS[0], redeem, CAROL, 700, 50)]
    (found,) = decoding.liquidations(view(), logs)
    assert found.seized != 700


def test_the_markets_own_share_is_the_protocols():
    share = 28 * 10**15
    markets = (replace(MARKETS[0], seize_share=share), *MARKETS[1:])
    redeem = topic("Redeem(address,uint256,uint256,uint256)")
    logs = [*liquidation_logs(BOB, 1_000), log(TOKENS[0], redeem, BOB, 9_720, 972, 0)]
    (found,) = decoding.liquidations(view(deployment(markets)), logs)
    assert (found.seized, found.protocol_fee) == (10_000, 280)


def test_the_treasurys_part_and_its_fee_are_the_protocols():
    redeem = topic("Redeem(address,uint256,uint256,uint256)")
    logs = [
        *liquidation_logs(LIQUIDATOR, 1_000),
        log(TOKENS[0], redeem, LIQUIDATOR, 450, 45, 0),
        log(
            LIQUIDATOR,
            codec.LIQUIDATED_THROUGH,
            1_000,
            TOKENS[1],
            45,
            955,
            topics=(BOB, ALICE, TOKENS[0]),
        ),
        log(TOKENS[0], codec.REDEEM_FEE, BOB, 50, 955),
        log(TOKENS[0], redeem, BOB, 9_500, 955, 0),
    ]
    (found,) = decoding.liquidations(view(deployment(liquidator=THROUGH)), logs)
    assert found.liquidator == BOB
    assert found.seized == 1_000 * 9_550 // 955
    assert found.seized - found.protocol_fee == 9_500


def test_of_what_was_redeemed_along_with_others_it_is_a_part():
    redeem = topic("Redeem(address,uint256,uint256)")
    logs = [*liquidation_logs(BOB, 50), log(TOKENS[0], redeem, BOB, 1_400, 100)]
    (found,) = decoding.liquidations(view(), logs)
    assert (found.seized, found.protocol_fee, found.slack) == (700, 0, decoding.ROUNDED)
    alone = [*logs, log(TOKENS[0], redeem, BOB, 701, 50)]
    (found,) = decoding.liquidations(view(), alone)
    assert (found.seized, found.slack) == (701, 0), "what it came to by itself is told better"
    less = [*liquidation_logs(BOB, 50), log(TOKENS[0], redeem, BOB, 10, 1)]
    (found,) = decoding.liquidations(view(), less)
    assert (found.seized, found.slack) == (view().lines[0].stored_rate * 50 // WAD, 0)


@given(
    rate=st.integers(10**6, 10**30),
    ours=st.integers(1, 10**14),
    more=st.integers(1, 10**14),
    cut=st.integers(0, 10**13),
    percent=st.integers(0, 10**17),
)
def test_a_part_of_a_redemption_is_as_near_as_it_says(rate, ours, more, cut, percent):
    """As ``redeemFresh`` rounds the whole, and Venus the treasury's fee out of it."""

    def told(tokens):
        whole = rules.redeemed(tokens, rate)
        fee = whole * percent // WAD
        redeem = topic("Redeem(address,uint256,uint256,uint256)")
        logs = [
            *liquidation_logs(LIQUIDATOR, ours + cut),
            log(LIQUIDATOR, codec.LIQUIDATED_THROUGH, 1_000, TOKENS[1], cut, ours,
                topics=(BOB, ALICE, TOKENS[0])),
            log(TOKENS[0], codec.REDEEM_FEE, BOB, fee, tokens),
            log(TOKENS[0], redeem, BOB, whole - fee, tokens, 0),
        ]  # fmt: skip
        (found,) = decoding.liquidations(view(deployment(liquidator=THROUGH)), logs)
        return found

    exact, part = told(ours), told(ours + more)
    assert exact.slack == 0
    most = part.slack * max(1, (ours + cut) // ours)
    assert abs(part.seized - exact.seized) <= most
    assert abs(part.protocol_fee - exact.protocol_fee) <= most


def test_a_failure_is_no_liquidation():
    failed = log(TOKENS[1], codec.FAILURE, 3, 18, 3)
    assert decoding.liquidations(view(), [failed]) == ()


def test_each_of_two_liquidations_is_told_by_what_follows_it():
    redeem = topic("Redeem(address,uint256,uint256)")
    logs = [
        *liquidation_logs(BOB, 50),
        log(TOKENS[0], redeem, BOB, 700, 50),
        *liquidation_logs(BOB, 60),
        log(TOKENS[0], redeem, BOB, 900, 60),
    ]
    assert [one.seized for one in decoding.liquidations(view(), logs)] == [700, 900]

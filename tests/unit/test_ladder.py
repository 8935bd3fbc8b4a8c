"""The fee ladder: go-ethereum takes every rung, no rung is over its cap, and it ends."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.chain import Fees, Transaction
from keeper.core.units import Address
from keeper.evm.signed_transaction import decode_signed
from keeper.evm.transaction import LocalSigner
from keeper.executor.ladder import afresh, break_even, bumped, outbiddable, raised

fees = st.builds(
    lambda tip, more: Fees(max_fee=tip + more, priority_fee=tip),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
)
wei = st.integers(0, 10**13)


def geth_takes(old: Fees, new: Fees) -> bool:
    """As in ``list.Add`` of go-ethereum's legacy pool, with a price bump of 10 %."""
    if old.max_fee >= new.max_fee or old.priority_fee >= new.priority_fee:
        return False
    thresholds = (old.max_fee * 110 // 100, old.priority_fee * 110 // 100)
    return new.max_fee >= thresholds[0] and new.priority_fee >= thresholds[1]


@given(fees, wei, wei)
def test_every_rung_replaces_the_one_before_and_can_be_included_under_the_cap(old, base_fee, cap):
    new = raised(old, base_fee=base_fee, cap=cap)
    if new is not None:
        assert geth_takes(old, new)
        assert base_fee <= new.max_fee <= cap
        assert new.priority_fee <= new.max_fee


@given(fees, wei, wei)
def test_a_rung_is_missing_only_when_the_least_that_would_do_is_over_the_cap(old, base_fee, cap):
    if raised(old, base_fee=base_fee, cap=cap) is None:
        tip = max(-(-old.priority_fee * 110 // 100), old.priority_fee + 1)
        least = max(-(-old.max_fee * 110 // 100), old.max_fee + 1, tip, base_fee)
        assert least > cap


def test_a_rung_is_a_tenth_higher_in_both_fields_and_leaves_room_for_twice_the_base_fee():
    old = Fees(max_fee=1_000, priority_fee=100)
    assert raised(old, base_fee=400, cap=10**6) == Fees(max_fee=1_100, priority_fee=110)
    assert raised(old, base_fee=500, cap=10**6) == Fees(max_fee=1_110, priority_fee=110)
    assert raised(old, base_fee=500, cap=1_100) == Fees(max_fee=1_100, priority_fee=110)
    assert raised(old, base_fee=500, cap=1_099) is None
    odd = Fees(max_fee=1_001, priority_fee=9)
    assert raised(odd, base_fee=0, cap=10**6) == Fees(max_fee=1_102, priority_fee=10)
    assert raised(Fees(max_fee=0, priority_fee=0), base_fee=0, cap=9) == Fees(
        max_fee=1, priority_fee=1
    )


@given(st.integers(0, 10**13), st.data())
def test_whatever_is_offered_within_the_bounds_can_be_outbid_once_under_the_cap(cap, data):
    most = outbiddable(cap)
    tip = data.draw(st.integers(0, most))
    old = Fees(max_fee=data.draw(st.integers(tip, most)), priority_fee=tip)
    if cap:
        new = raised(old, base_fee=data.draw(st.integers(0, cap)), cap=cap)
        assert new is not None
        assert geth_takes(old, new)
        assert new.max_fee <= cap


@given(st.integers(1, 10**13))
def test_no_more_is_kept_for_what_outbids_than_it_needs(cap):
    assert bumped(outbiddable(cap)) <= cap < bumped(outbiddable(cap) + 1)


@given(fees, wei)
def test_the_ladder_ends(old, base_fee):
    cap = max(old.max_fee, base_fee) * 4 + 100
    rungs = 0
    while (new := raised(old, base_fee=base_fee, cap=cap)) is not None:
        old, rungs = new, rungs + 1
        assert rungs < 400


@given(wei, st.integers(1, 10**7), wei)
def test_at_break_even_the_least_profit_is_left(received, gas_used, min_profit):
    price = break_even(received, gas_used=gas_used, min_profit=min_profit)
    if price:
        assert received - price * gas_used >= min_profit
    assert received - (price + 1) * gas_used < max(min_profit, 0) or received < min_profit


@given(
    st.binary(max_size=400), st.integers(0, 2**64), st.integers(0, 2**200), fees,
    st.integers(21_000, 30_000_000),
)  # fmt: skip
def test_a_signed_transaction_is_read_back_as_it_was(data, nonce, value, offered, gas_limit):
    signer = LocalSigner(bytes(range(1, 33)), chain_id=31337)
    to = Address("0x" + "0e" * 20)
    one = Transaction(sender=signer.address, to=to, data=data, value=value)
    raw, _ = signer.sign(one, nonce=nonce, gas_limit=gas_limit, fees=offered)
    found = decode_signed(raw, sender=signer.address)
    assert (found.transaction, found.nonce, found.gas_limit, found.fees, found.chain_id) == (
        one, nonce, gas_limit, offered, 31337,
    )  # fmt: skip


def test_what_needs_to_outbid_nothing_offers_what_the_block_wants_within_the_cap() -> None:
    old = Fees(max_fee=1_000, priority_fee=100)
    assert afresh(old, base_fee=50, cap=300) == Fees(max_fee=200, priority_fee=100)
    assert afresh(old, base_fee=50, cap=120) == Fees(max_fee=120, priority_fee=100)
    assert afresh(old, base_fee=50, cap=50) == Fees(max_fee=50, priority_fee=50)
    assert afresh(old, base_fee=50, cap=49) is None

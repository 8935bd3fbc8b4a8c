"""The hand-made Multicall3 codec agrees with an ABI library."""

import pytest
from eth_abi import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.chain.multicall import decode_aggregate3, encode_aggregate3
from keeper.core.chain import Call, CallResult
from keeper.core.errors import TransientError
from keeper.core.units import address
from keeper.evm.hashing import keccak256

CALLS = "(address,bool,bytes)[]"
RESULTS = "(bool,bytes)[]"
SELECTOR = keccak256(b"aggregate3((address,bool,bytes)[])")[:4]

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: address("0x" + raw.hex()))
payloads = st.binary(max_size=100)


@settings(deadline=None)
@given(st.lists(st.tuples(addresses, payloads), max_size=12))
def test_calls_are_encoded_as_the_abi_says(calls: list[tuple[str, bytes]]) -> None:
    ours = encode_aggregate3([Call(to=address(to), data=data) for to, data in calls])
    assert ours[:4] == SELECTOR
    assert decode([CALLS], ours[4:], strict=True) == (tuple((to, True, d) for to, d in calls),)
    assert ours[4:] == encode([CALLS], [[(to, True, data) for to, data in calls]])


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), payloads), max_size=12))
def test_results_are_decoded_as_the_abi_says(results: list[tuple[bool, bytes]]) -> None:
    found = decode_aggregate3(encode([RESULTS], [results]), len(results))
    assert found == [CallResult(success=success, data=data) for success, data in results]


def test_another_number_of_results_is_refused() -> None:
    with pytest.raises(TransientError, match="expected 2 results, found 1"):
        decode_aggregate3(encode([RESULTS], [[(True, b"")]]), 2)


@pytest.mark.parametrize("cut", [0, 31, 32, 63, 64, 100, 150, 160, 191])
def test_a_cut_answer_is_refused(cut: int) -> None:
    whole = encode([RESULTS], [[(True, b"\x01" * 32)]])
    with pytest.raises(TransientError, match="multicall: expected"):
        decode_aggregate3(whole[:cut], 1)


def test_a_dirty_flag_is_refused() -> None:
    dirty = bytearray(encode([RESULTS], [[(True, b"")]]))
    dirty[96 + 31] = 2
    with pytest.raises(TransientError, match="multicall: expected"):
        decode_aggregate3(bytes(dirty), 1)

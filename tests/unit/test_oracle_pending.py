"""Calldata of price updates, encoded by an independent ABI encoder, and what is read of it."""

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.core.units import Address
from keeper.oracle.pending import Kind, Update, decode_update

AGGREGATOR = Address("0x" + "a9" * 20)
FORWARDER = Address("0x" + "f0" * 20)
DIGEST = b"\x11" * 32
int192 = st.integers(min_value=-(2**191), max_value=2**191 - 1)


def called(signature: str, types: list[str], values: list[object]) -> bytes:
    return keccak(text=signature)[:4] + encode(types, values)


def ocr1(observations: list[int]) -> bytes:
    report = encode(["bytes32", "bytes32", "int192[]"], [DIGEST, b"\x07" * 32, observations])
    signature = "transmit(bytes,bytes32[],bytes32[],bytes32)"
    types = ["bytes", "bytes32[]", "bytes32[]", "bytes32"]
    return called(signature, types, [report, [DIGEST] * 3, [DIGEST] * 3, b"\x01" * 32])


def ocr2(observations: list[int], name: str = "transmit") -> bytes:
    report = encode(
        ["uint32", "bytes32", "int192[]", "int192"],
        [1_700_000_000, b"\x07" * 32, observations, 10**16],
    )
    signature = f"{name}(bytes32[3],bytes,bytes32[],bytes32[],bytes32)"
    types = ["bytes32[3]", "bytes", "bytes32[]", "bytes32[]", "bytes32"]
    values: list[object] = [[DIGEST] * 3, report, [DIGEST] * 2, [DIGEST] * 2, b"\x01" * 32]
    return called(signature, types, values)


def forwarded(data: bytes) -> bytes:
    return called("forward(address,bytes)", ["address", "bytes"], [AGGREGATOR, data])


def test_selectors_are_those_seen_on_chain() -> None:
    assert ocr1([1])[:4].hex() == "c9807539"
    assert ocr2([1])[:4].hex() == "b1dc65a4"
    assert ocr2([1], "transmitSecondary")[:4].hex() == "ba0cb29e"
    assert forwarded(b"")[:4].hex() == "6fadcf72"


@pytest.mark.parametrize("build", [ocr1, ocr2])
@pytest.mark.parametrize(
    ("observations", "answer"),
    [([5], 5), ([1, 2], 2), ([1, 2, 3], 2), ([1, 2, 3, 4], 3), (list(range(31)), 15)],
)
def test_the_answer_of_a_report_is_its_middle_observation(
    build: object, observations: list[int], answer: int
) -> None:
    found = decode_update(AGGREGATOR, build(observations))  # type: ignore[operator]
    assert found == Update(aggregator=AGGREGATOR, answer=answer, kind=Kind.REPORT)


def test_observations_are_taken_by_position_and_never_sorted() -> None:
    found = decode_update(AGGREGATOR, ocr2([9, 1, 5]))
    assert found is not None
    assert found.answer == 1


@given(st.lists(int192, min_size=1, max_size=31))
def test_any_report_of_either_protocol_is_read_whole(observations: list[int]) -> None:
    middle = observations[len(observations) // 2]
    for data in (ocr1(observations), ocr2(observations)):
        found = decode_update(AGGREGATOR, data)
        assert found is not None
        assert found.answer == middle


def test_a_report_for_the_auctioned_face_is_told_apart() -> None:
    found = decode_update(AGGREGATOR, ocr2([7], "transmitSecondary"))
    assert found == Update(aggregator=AGGREGATOR, answer=7, kind=Kind.SECOND_REPORT)


def test_a_forwarded_report_is_one_of_the_contract_that_it_is_forwarded_to() -> None:
    found = decode_update(FORWARDER, forwarded(ocr2([1, 2, 3])))
    assert found == Update(aggregator=AGGREGATOR, answer=2, kind=Kind.REPORT)


def test_a_submission_is_one_oracles_answer() -> None:
    data = called("submit(uint256,int256)", ["uint256", "int256"], [12, -3])
    found = decode_update(AGGREGATOR, data)
    assert found == Update(aggregator=AGGREGATOR, answer=-3, kind=Kind.SUBMISSION)


@pytest.mark.parametrize("observations", [[], list(range(32))])
def test_a_report_that_no_aggregator_would_take_is_none(observations: list[int]) -> None:
    assert decode_update(AGGREGATOR, ocr1(observations)) is None
    assert decode_update(AGGREGATOR, ocr2(observations)) is None


@given(st.data())
def test_cut_and_garbled_calldata_never_raises(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([ocr1([1, 2, 3]), ocr2([1, 2, 3]), forwarded(ocr2([4]))]))
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    garbled = bytearray(cut)
    for _ in range(data.draw(st.integers(0, 6))):
        if len(garbled) > 4:
            at = data.draw(st.integers(4, len(garbled) - 1))
            garbled[at] = data.draw(st.integers(0, 255))
    found = decode_update(AGGREGATOR, bytes(garbled))
    assert found is None or -(2**191) <= found.answer < 2**191


def test_other_calls_are_none() -> None:
    assert decode_update(AGGREGATOR, b"") is None
    assert decode_update(AGGREGATOR, bytes.fromhex("a9059cbb") + bytes(64)) is None
    assert decode_update(AGGREGATOR, forwarded(forwarded(forwarded(ocr2([1]))))) is None

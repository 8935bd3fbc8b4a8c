"""Logs as columns hold what the logs as objects hold."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.chain.log_pages import SlimLogRecord, columns_of
from keeper.chain.log_ranges import log_values
from keeper.chain.records import LogRecord
from keeper.core.errors import TransientError
from keeper.core.log_columns import joined
from keeper.core.units import Address, Hash32, address_of_word
from keeper.protocols.aave_v3 import events
from tests.support.aave_market import POOL, market

EVENT = Hash32("0x" + "ab" * 32)
OTHER = Address("0x" + "0e" * 20)

words = st.integers(0, 2**256 - 1).map(lambda word: f"0x{word:064x}")
others = st.lists(words, max_size=3)
texts = st.binary(max_size=100).map(lambda data: "0x" + data.hex())


@st.composite
def pages(draw):
    """A page as JSON: logs of two contracts, of any number of topics, some removed."""
    page = [
        {
            "address": draw(st.sampled_from([POOL, OTHER])).upper().replace("0X", "0x"),
            "topics": [
                draw(st.sampled_from([EVENT, events.BORROW])),
                *draw(st.lists(words, max_size=3)),
            ]
            if draw(st.integers(0, 9))
            else [],
            "data": draw(texts),
            "blockNumber": hex(number),
            "blockHash": "0x" + "22" * 32,
            "transactionHash": "0x" + "33" * 32,
            "logIndex": "0x0",
            "removed": draw(st.integers(0, 9)) == 0,
        }
        for number in range(draw(st.integers(0, 8)))
    ]
    return msgspec.json.encode(page)


def columns(page):
    return columns_of(msgspec.json.decode(page, type=list[SlimLogRecord]))


def objects(page):
    return log_values(msgspec.json.decode(page, type=list[LogRecord]))


@settings(deadline=None)
@given(st.lists(pages(), max_size=3))
def test_columns_hold_every_log(some):
    held = joined([columns(page) for page in some])
    logs = [log for page in some for log in objects(page)]
    assert len(held) == len(logs)
    start = 0
    for row, log in enumerate(logs):
        assert "0x" + held.emitters[row].tobytes().hex() == log.address
        found = ["0x" + word.tobytes().hex() for word in held.topics[row]]
        assert found == [*log.topics, *["0x" + "00" * 32] * (4 - len(log.topics))]
        assert held.data[start : held.ends[row]] == log.data
        start = int(held.ends[row])


@settings(deadline=None)
@given(pages(), st.sampled_from([0, 2]))
def test_columns_do_not_depend_on_spaces(page, indent):
    spaced = columns(msgspec.json.format(page, indent=indent))
    plain = columns(page)
    assert spaced.data == plain.data
    for name in ("emitters", "topics", "ends"):
        assert (getattr(spaced, name) == getattr(plain, name)).all()


@settings(deadline=None)
@given(pages())
def test_addresses_of_an_event_are_those_of_its_logs(page):
    held = columns(page)
    logs = [log for log in objects(page) if log.address == POOL and log.topics[:1] == (EVENT,)]
    rows = held.rows(POOL, EVENT)
    assert len(rows) == len(logs)
    named = {address_of_word(log.topics[2]) if len(log.topics) > 2 else None for log in logs}
    found = held.addresses(rows, 2)
    assert named - {None} <= found <= named | {Address("0x" + "00" * 20)}


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=1), min_size=1, max_size=40), st.integers(0, 19))
def test_addresses_that_differ_in_one_byte_are_told_apart_and_named_once(bytes_of_one, where):
    named = [Address("0x" + (bytes(where) + one).ljust(20, b"\0").hex()) for one in bytes_of_one]
    page = [
        {"address": POOL, "topics": [EVENT, "0x" + "00" * 12 + one[2:]], "data": "0x"}
        for one in named
    ]
    held = columns(msgspec.json.encode(page))
    assert held.addresses(held.rows(POOL, EVENT), 1) == set(named)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2**256 - 1)] * 3), min_size=1, max_size=5))
def test_words_are_exact(values):
    page = [
        {"address": POOL, "topics": [EVENT], "data": "0x" + "".join(f"{v:064x}" for v in row)}
        for row in values
    ]
    held = columns(msgspec.json.encode(page))
    limbs = held.words(held.rows(POOL, EVENT))
    for row, line in zip(values, limbs.tolist(), strict=True):
        assert row == tuple(a << 192 | b << 128 | c << 64 | d for a, b, c, d in line)


def test_words_of_unlike_logs_are_refused():
    page = [{"address": POOL, "topics": [EVENT], "data": data} for data in ("0x", "0x" + "00" * 32)]
    held = columns(msgspec.json.encode(page))
    with pytest.raises(ValueError, match="expected one length"):
        held.words(held.rows(POOL, EVENT))


@pytest.mark.parametrize(
    "changed",
    [
        {"address": "0x12"},
        {"address": 5},
        {"data": "0xzz"},
        {"data": "0x0"},
        {"data": "00"},
        {"data": ""},
        {"data": None},
        {"topics": ["0x12"]},
        {"topics": ["0x" + "zz" * 32]},
        {"topics": ["0x" + "00" * 32] * 5},
        {"topics": ["0x" + "00" * 32, None]},
        {"topics": [None]},
        {"topics": [[EVENT]]},
        {"topics": EVENT},
    ],
)
def test_what_is_not_hex_is_an_error_of_the_node(changed):
    log = {"address": POOL, "topics": [EVENT], "data": "0x00", **changed}
    with pytest.raises(TransientError, match="logs in hex"):
        columns(msgspec.json.encode([log]))


def test_borrowers_in_columns_are_those_that_the_logs_touch():
    view = market()
    page = msgspec.json.encode(
        [
            {
                "address": POOL,
                "topics": [events.BORROW, *(f"0x{word:064x}" for word in (1, who, 0))],
                "data": "0x" + "00" * 128,
                "blockNumber": hex(who),
                "blockHash": "0x" + "22" * 32,
                "transactionHash": "0x" + "33" * 32,
                "logIndex": "0x0",
            }
            for who in (7, 8, 7, 2**159)
        ]
    )
    found = events.borrowers(view, columns(page))
    assert found == events.touched(view, objects(page)).accounts
    assert len(found) == 3

"""A bloom is believed once it has told the truth, and never after it lied."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain.records import decode_block
from keeper.core.chain import BlockRef, Log, LogFilter
from keeper.core.errors import TransientError
from keeper.core.units import Address, Hash32
from keeper.evm.hashing import keccak256
from keeper.mirror.sieve import LogSieve
from tests.support.fake_node import header

POOL, OTHER = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
EVENT, STRANGE = Hash32("0x" + "01" * 32), Hash32("0x" + "02" * 32)
WANTED = LogFilter(addresses=frozenset({POOL}), topics=frozenset({EVENT}))


def bloom_of(*texts):
    """Return a bloom as the yellow paper builds it, byte by byte."""
    bloom = bytearray(256)
    for text in texts:
        digest = keccak256(bytes.fromhex(text[2:]))
        for i in (0, 2, 4):
            bit = (digest[i] << 8 | digest[i + 1]) & 2047
            bloom[255 - bit // 8] |= 1 << bit % 8
    return "0x" + bloom.hex()


def block(bloom):
    zero = Hash32("0x" + "00" * 32)
    return BlockRef(
        number=1,
        hash=zero,
        parent_hash=zero,
        timestamp=0,
        base_fee=0,
        gas_used=0,
        gas_limit=0,
        logs_bloom=bloom,
    )


def log(address=POOL, topic=EVENT):
    zero = Hash32("0x" + "00" * 32)
    return Log(
        address=address,
        topics=(topic,),
        data=b"",
        block_number=1,
        block_hash=zero,
        tx_hash=zero,
        index=0,
    )


def believing():
    sieve = LogSieve()
    sieve.learn(block(bloom_of(POOL, EVENT)), [log()])
    return sieve


def test_nothing_is_excluded_before_a_bloom_was_true():
    assert not LogSieve().excludes(block(bloom_of()), WANTED)


def test_a_block_without_our_address_or_topic_is_excluded():
    sieve = believing()
    assert sieve.excludes(block(bloom_of()), WANTED)
    assert sieve.excludes(block(bloom_of(OTHER, EVENT)), WANTED)
    assert sieve.excludes(block(bloom_of(POOL, STRANGE)), WANTED)
    assert not sieve.excludes(block(bloom_of(POOL, EVENT, OTHER)), WANTED)


def test_without_topics_any_topic_is_ours():
    wanted = LogFilter(addresses=frozenset({POOL}), topics=frozenset())
    assert not believing().excludes(block(bloom_of(POOL, STRANGE)), wanted)


def test_a_block_without_a_bloom_is_not_excluded():
    assert not believing().excludes(block(""), WANTED)


def told(bloom):
    """Return a block whose header a node writes with that filter."""
    return decode_block(msgspec.Raw(msgspec.json.encode(header(1) | {"logsBloom": bloom})))


@pytest.mark.parametrize("bloom", ["0x", "", None])
def test_a_bloom_that_a_node_writes_as_empty_is_none(bloom):
    sieve = believing()
    sieve.learn(told(bloom), [log()])
    assert not sieve.excludes(told(bloom), WANTED)
    assert sieve.excludes(told(bloom_of()), WANTED)


def test_a_bloom_that_is_not_hex_is_trouble_of_the_node():
    with pytest.raises(TransientError, match="expected a hex quantity, found '0xzz'"):
        told("0xzz")


def test_a_bloom_that_lied_is_never_believed_again():
    sieve = believing()
    sieve.learn(block(bloom_of()), [log()])
    assert not sieve.excludes(block(bloom_of()), WANTED)
    sieve.learn(block(bloom_of(POOL, EVENT)), [log()])
    assert not sieve.excludes(block(bloom_of()), WANTED)


@given(st.sets(st.binary(min_size=20, max_size=20), min_size=1, max_size=30), st.data())
def test_a_block_with_a_log_of_ours_is_never_excluded(addresses, data):
    names = [Address("0x" + one.hex()) for one in addresses]
    wanted = LogFilter(
        addresses=frozenset(data.draw(st.sets(st.sampled_from(names), min_size=1))),
        topics=frozenset({EVENT}),
    )
    logging = data.draw(st.sampled_from(sorted(wanted.addresses)))
    bloom = bloom_of(*names, EVENT) if data.draw(st.booleans()) else bloom_of(logging, EVENT)
    assert not believing().excludes(block(bloom), wanted)

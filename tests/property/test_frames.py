"""However a server cuts its messages into frames, and the network these into pieces."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.chain.frames import Frame, Frames

MOST = 2**20
PING = b"\x89\x02hi"

sizes = st.sampled_from([0, 1, 7, 125, 126, 300, 65_535, 65_536])
messages = st.lists(st.tuples(sizes, st.integers(1, 4), st.booleans()), min_size=1, max_size=6)


def framed(first, content):
    size = len(content)
    if size < 126:
        return bytes((first, size)) + content
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + content
    return bytes((first, 127)) + size.to_bytes(8, "big") + content


def in_frames(content, count, *, pinged):
    """Cut a message into frames, with a ping among them, as RFC 6455 allows (section 5.4)."""
    step = max(1, -(-len(content) // count))
    parts = [content[at : at + step] for at in range(0, len(content), step)] or [b""]
    frames = [
        framed((0x80 if last == len(parts) - 1 else 0) | (0 if last else 1), part)
        for last, part in enumerate(parts)
    ]
    return (PING.join(frames), len(frames) - 1) if pinged else (b"".join(frames), 0)


@given(messages, st.lists(st.integers(1, 70_000), max_size=20))
def test_messages_come_whole_and_in_order_and_the_rest_as_it_is(wanted, cuts):
    sent, pings, stream = [], 0, b""
    for number, (size, count, pinged) in enumerate(wanted):
        content = bytes((number,)) * size
        data, many = in_frames(content, count, pinged=pinged)
        sent.append(content)
        pings, stream = pings + many, stream + data
    frames, found = Frames(MOST), []
    for cut in cuts:
        found += frames.split(stream[:cut])
        stream = stream[cut:]
    found += frames.split(stream)
    assert [one.content for one in found if one.is_message] == sent
    assert [one for one in found if not one.is_message] == [Frame(False, PING)] * pings


@given(st.lists(st.sampled_from([0, 1, 200, 300]), min_size=1, max_size=20), st.integers(1, 999))
def test_no_more_is_held_of_a_message_than_it_may_have(sizes, cut):
    stream = b"".join(framed(0 if place else 1, bytes(size)) for place, size in enumerate(sizes))
    frames, held = Frames(1_000), 0
    for at in range(0, len(stream), cut):
        assert list(frames.split(stream[at : at + cut])) == []
        held += len(stream[at : at + cut])
        if frames.is_oversized:
            break
    assert frames.is_oversized == (len(stream) > 1_000)
    assert held < 1_000 + 304 + cut


@given(st.binary(min_size=1, max_size=100))
def test_a_frame_that_a_server_must_not_send_is_left_to_whoever_knows_what_to_do(content):
    masked = bytes((0x81, 0x80 | len(content))) + b"abcd" + content
    assert list(Frames(MOST).split(masked)) == [Frame(False, masked)]
    compressed = framed(0xC1, content)
    assert list(Frames(MOST).split(compressed)) == [Frame(False, compressed)]

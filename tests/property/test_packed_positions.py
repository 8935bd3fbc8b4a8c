"""The packed mapping is a mapping: whatever is done to it, it holds what a dictionary would."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.lending import AccountRef
from keeper.core.units import Address
from keeper.mirror.positions import PackedPositions, Packing

PACKING: Packing[bytes] = Packing(pack=lambda one: one, unpack=lambda one: one)

refs = st.builds(
    lambda market, number: AccountRef(market=market, account=Address(f"0x{number:040x}")),
    st.sampled_from(["a", "b"]),
    st.integers(0, 200),
)
steps = st.lists(
    st.dictionaries(refs, st.one_of(st.none(), st.binary(max_size=300)), max_size=120),
    max_size=8,
)


@settings(deadline=None)
@given(steps)
def test_it_holds_what_a_dictionary_would(steps):
    packed, plain = PackedPositions(PACKING), {}
    for step in steps:
        packed = packed.with_changes(step)
        plain = {ref: one for ref, one in {**plain, **step}.items() if one is not None}
        assert len(packed) == len(plain) == len(packed.items())
        assert dict(packed.items()) == plain
        assert set(packed) == set(plain)
        for ref in step:
            assert packed.get(ref) == plain.get(ref)


@settings(deadline=None)
@given(steps)
def test_an_older_mapping_stays_as_it_was(steps):
    packed = PackedPositions(PACKING)
    before = []
    for step in steps:
        before.append((packed, dict(packed.items())))
        packed = packed.with_changes(step)
    for older, content in before:
        assert dict(older.items()) == content


def test_a_name_inside_other_names_is_not_taken_for_an_account():
    whole = bytes(range(1, 21))
    first = AccountRef(market="a", account=Address("0x" + (whole[11:] + bytes(11)).hex()))
    second = AccountRef(market="a", account=Address("0x" + (bytes(9) + whole[:11]).hex()))
    packed = PackedPositions(PACKING).with_changes({first: b"1", second: b"2"})
    inner = AccountRef(market="a", account=Address("0x" + (bytes(20)).hex()))
    assert packed.get(inner) is None
    assert (packed[first], packed[second]) == (b"1", b"2")

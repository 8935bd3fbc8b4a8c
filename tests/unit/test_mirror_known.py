"""Who ever owed something is known by name, without a name kept twice."""

import pytest

from keeper.core.lending import AccountRef
from keeper.core.units import Address
from keeper.mirror.known import Known
from keeper.mirror.positions import PackedPositions, Packing, PlainPositions, Positions

NUMBERS: Packing[int] = Packing(pack=lambda one: one.to_bytes(1, "big"), unpack=lambda raw: raw[0])


def ref(number: int) -> AccountRef:
    return AccountRef(market="one", account=Address(f"0x{number:040x}"))


@pytest.fixture(params=["packed", "plain"])
def nobody(request) -> Positions[int]:
    return PackedPositions(NUMBERS) if request.param == "packed" else PlainPositions({})


def test_who_owes_and_who_does_not_any_more_are_known_once_each(nobody: Positions[int]):
    held = nobody.with_changes({ref(n): n for n in range(1, 100)})
    known = Known.of(map(ref, range(50, 150)), held)
    assert sorted(known) == [ref(n) for n in range(1, 150)]
    assert len(known) == 149
    assert all(ref(n) in known for n in range(1, 150))
    assert ref(150) not in known


def test_who_repays_or_borrows_again_stays_known_once(nobody: Positions[int]):
    held = nobody.with_changes({ref(1): 1, ref(2): 2})
    known = Known.of([ref(3)], held)
    later = held.with_changes({ref(1): None, ref(3): 3, ref(4): 4})
    after = known.after({ref(1), ref(3), ref(4)}, later)
    assert sorted(after) == [ref(n) for n in range(1, 5)]
    assert len(after) == 4
    assert sorted(known) == [ref(n) for n in range(1, 4)]


def test_beyond_an_older_one_are_the_new_alone(nobody: Positions[int]):
    held = nobody.with_changes({ref(n): n for n in range(1, 100)})
    known = Known.of([ref(200)], held)
    later = held.with_changes({ref(1): None, ref(200): 9, ref(201): 9})
    after = known.after({ref(1), ref(200), ref(201), ref(202)}, later)
    assert sorted(after.beyond(known)) == [ref(201), ref(202)]
    assert list(after.beyond(after)) == []


def test_beyond_a_set_or_other_buckets_are_the_new_alone(nobody: Positions[int]):
    few = Known.of((), nobody.with_changes({ref(1): 1}))
    many = Known.of((), nobody.with_changes({ref(n): 1 for n in range(1, 600)}))
    assert sorted(many.beyond(few)) == [ref(n) for n in range(2, 600)]
    assert sorted(many.beyond({ref(n) for n in range(1, 599)})) == [ref(599)]


def test_what_two_share_is_not_gone_through():
    held = PackedPositions(NUMBERS).with_changes({ref(n): 1 for n in range(1, 2_000)})
    later = held.with_changes({ref(5_000): 1})
    assert len(list(later.unlike(held))) < 100

"""Who was planned ahead in vain comes behind others, for a while, and until it changes."""

from keeper.app.in_vain import FOR_BLOCKS, InVain
from tests.support.ledger_records import plan

ONE, TWO, THREE = ((plan(number).ref, float(number)) for number in (1, 2, 3))


def test_an_account_comes_last_for_so_many_blocks_as_that_feed_moves_alone() -> None:
    known, near = InVain(), [ONE, TWO, THREE]
    known.note("ether", ONE[0], 100)
    assert known.put_last("ether", near, 100 + FOR_BLOCKS - 1) == [TWO, THREE, ONE]
    assert known.put_last("ether", near, 100 + FOR_BLOCKS) == near
    assert known.put_last("dollar", near, 100) == near


def test_an_account_that_changed_waits_no_more() -> None:
    known = InVain()
    for ref, _ in (ONE, TWO):
        known.note("ether", ref, 100)
    known.forget({ONE[0]})
    assert known.put_last("ether", [TWO, ONE, THREE], 101) == [ONE, THREE, TWO]


def test_who_waits_no_more_is_forgotten() -> None:
    known = InVain()
    for block in range(100, 1_100):
        known.begin(block)
        known.note("ether", plan(block).ref, block)
    assert len(known._until) == FOR_BLOCKS

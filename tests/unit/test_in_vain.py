"""Who was planned ahead in vain waits for others, for a while, and until it changes."""

from keeper.app.in_vain import FOR_BLOCKS, InVain
from tests.support.ledger_records import plan

ONE, TWO = plan(1).ref, plan(2).ref


def test_an_account_waits_for_so_many_blocks_as_that_feed_moves_alone() -> None:
    known = InVain()
    known.note("ether", ONE, 100)
    assert known.waits("ether", ONE, 100 + FOR_BLOCKS - 1)
    assert not known.waits("ether", ONE, 100 + FOR_BLOCKS)
    assert not known.waits("dollar", ONE, 100)
    assert not known.waits("ether", TWO, 100)


def test_an_account_that_changed_waits_no_more() -> None:
    known = InVain()
    for ref in (ONE, TWO):
        known.note("ether", ref, 100)
    known.forget({ONE})
    assert [known.waits("ether", ref, 101) for ref in (ONE, TWO)] == [False, True]


def test_who_waits_no_more_is_forgotten() -> None:
    known = InVain()
    for block in range(100, 1_100):
        known.begin(block)
        known.note("ether", plan(block).ref, block)
    assert len(known._until) == FOR_BLOCKS

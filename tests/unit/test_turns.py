"""Who is planned at once, and who waits for a quiet moment."""

from keeper.app.turns import FOREMOST, TOGETHER, Turns
from keeper.core.lending import Reason
from keeper.core.plan import Opportunity
from keeper.core.units import Address
from keeper.core.values import replace
from tests.support.ledger_records import plan, rejection


def opportunity(number: int) -> Opportunity:
    one = plan().opportunity
    return replace(one, ref=replace(one.ref, account=Address(f"0x{number:040x}")))


MANY = [opportunity(number) for number in range(TOGETHER + 1)]
NEW = opportunity(1_000)


def test_a_few_that_were_refused_are_planned_with_the_others() -> None:
    turns = Turns()
    turns.refused([one.ref for one in MANY[1:]], 7)
    assert turns.divided([*MANY[1:], NEW]) == ([*MANY[1:], NEW], ())


def test_whoever_is_new_does_not_wait_for_many_that_were_refused() -> None:
    turns = Turns()
    turns.refused([one.ref for one in MANY], 7)
    assert turns.divided([*MANY, NEW]) == ([NEW], MANY)


def test_whoever_is_new_is_read_for_before_those_that_were_refused() -> None:
    turns = Turns()
    turns.refused([one.ref for one in MANY], 7)
    found = turns.foremost(one.ref for one in [*MANY, NEW])
    assert found == [NEW.ref, *(one.ref for one in MANY)][:FOREMOST]


def test_who_the_forced_budget_refused_waits_and_who_another_limit_refused_does_not() -> None:
    turns = Turns()
    over = [replace(rejection(1, Reason.FORCED_BUDGET, block=7), ref=one.ref) for one in MANY]
    other = replace(rejection(1, Reason.POLICY, block=7), ref=NEW.ref)
    turns.over_budget([*over, other], 7)
    assert turns.divided([*MANY, NEW]) == ([NEW], MANY)


def test_of_those_refused_whoever_has_waited_longest_is_first() -> None:
    turns = Turns()
    turns.refused([one.ref for one in MANY], 7)
    turns.refused([MANY[0].ref], 8)
    turns.refused([MANY[2].ref], 6)
    _, later = turns.divided(MANY)
    assert (later[0], later[-1]) == (MANY[2], MANY[0])


def test_who_recovered_is_new_when_under_the_line_again() -> None:
    turns = Turns()
    turns.refused([one.ref for one in MANY], 7)
    turns.divided([])
    assert turns.divided(MANY) == (MANY, ())


def test_who_was_refused_is_remembered_where_a_price_brought_others_alone() -> None:
    turns = Turns()
    turns.refused([one.ref for one in MANY], 7)
    assert turns.divided([NEW], of_all=False) == ([NEW], ())
    assert turns.divided([*MANY, NEW]) == ([NEW], MANY)


def test_what_was_sent_is_forgotten_once_a_later_book_has_it() -> None:
    turns = Turns()
    turns.sent = [plan()]
    turns.keep_unrun({plan().id, "another"})
    assert turns.sent == [plan()]
    turns.keep_unrun({"another"})
    assert turns.sent == []

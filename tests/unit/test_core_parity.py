"""Both sides of an account, from what is held and what the chain answers."""

from keeper.core.chain import Call, CallResult
from keeper.core.lending import AccountRef
from keeper.core.parity import Figure, calls_of, compared, word
from keeper.core.units import Address

PLACE = Address("0x" + "aa" * 20)
OTHER = Address("0x" + "bb" * 20)
ONE = AccountRef(market="pool", account=PLACE)
TWO = AccountRef(market="pool", account=OTHER)
SHARED = Call(to=PLACE, data=b"rate")


def said(*words: int) -> CallResult:
    return CallResult(success=True, data=b"".join(one.to_bytes(32) for one in words))


def test_what_accounts_share_is_asked_once_and_told_to_each():
    figures = {ref: [Figure("rate", 5, SHARED, word(0))] for ref in (ONE, TWO)}
    assert calls_of(figures) == [SHARED]
    assert [str(one) for one in compared(figures, [said(6)]).values()] == [
        "rate 5 in the mirror, 6 on chain"
    ] * 2


def test_each_figure_is_taken_from_its_own_word():
    figures = {ONE: [Figure("a", 1, SHARED, word(0)), Figure("b", 2, SHARED, word(1))]}
    (found,) = compared(figures, [said(1, 2)]).values()
    assert found.agree


def test_an_answer_that_is_short_or_refused_agrees_with_nothing():
    figures = {ONE: [Figure("a", 0, SHARED, word(1))]}
    short = CallResult(success=True, data=bytes(63))
    refused = CallResult(success=False, data=bytes(64))
    for answer in (short, refused):
        (found,) = compared(figures, [answer]).values()
        assert (dict(found.chain), found.agree) == ({}, False)

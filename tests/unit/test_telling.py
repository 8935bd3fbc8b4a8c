"""Why accounts are left alone is told when it is new, and remembered of so many."""

from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app import telling
from keeper.app.telling import Telling
from keeper.core.lending import AccountRef, Reason, Rejection
from keeper.core.taken import Shown
from keeper.core.units import Address
from tests.support.heard import Heard
from tests.support.ledger_records import plan


class Books:
    """A journal that takes rejections."""

    async def reject(self, deployment: str, rejection: Rejection) -> None:
        """Take one."""


def refused(number: int, reason: Reason = Reason.BELOW_MIN_PROFIT) -> Rejection:
    ref = AccountRef(market="m", account=Address(f"0x{number:040x}"))
    return Rejection(ref=ref, block=7, reason=reason, detail="")


BOOK: Any = SimpleNamespace(positions={})


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def made(heard: Heard) -> Telling:
    adapter: Any = SimpleNamespace(deployment="d")
    watcher: Any = SimpleNamespace(remarks={})
    books: Any = Books()
    return Telling(adapter, watcher, books, heard)


async def test_who_was_refused_is_not_remembered_without_end(
    made: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "REMEMBERED", 10, raising=False)
    for number in range(1, 100):
        await made.tell([refused(0), refused(number)], BOOK)
    assert set(made.told) == {refused(one).ref for one in (0, *range(91, 100))}


async def test_a_reason_is_told_when_it_is_new_and_remembered_as_it_was_given_last(
    made: Telling, heard: Heard
) -> None:
    await made.tell([refused(1)], BOOK)
    await made.tell([refused(1), refused(2)], BOOK)
    await made.tell([refused(1, Reason.NO_ROUTE)], BOOK)
    told = [(one.ref, one.reason) for one in heard.rejections]
    assert told == [
        (refused(1).ref, Reason.BELOW_MIN_PROFIT),
        (refused(2).ref, Reason.BELOW_MIN_PROFIT),
        (refused(1).ref, Reason.NO_ROUTE),
    ]
    assert made.told[refused(1).ref].reason is Reason.NO_ROUTE


async def test_the_newest_of_what_was_shown_is_remembered_and_told(
    made: Telling, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "REMEMBERED", 10, raising=False)
    plans = [plan(0), *(plan(number) for number in range(1, 12)), plan(11, head=200)]
    for one in plans:
        made.show(one)
    assert heard.plans == plans
    assert set(made.shown) == {plan(number).ref for number in range(2, 12)}
    assert made.shown[plan(11).ref] == Shown(head=200, net=plan(11).forecast.net)

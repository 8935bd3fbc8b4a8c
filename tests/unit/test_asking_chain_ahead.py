"""When the chain id is asked for with a head's first questions, and for what that is good."""

from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.units import Address
from keeper.executor.asking_chain import AskingChain
from tests.support.ledger_records import account, block

OURS = account(5)


class Scene:
    """Operators, and whose next signing the chain id was asked for."""

    def __init__(self, *operators: Address) -> None:
        self.asked: list[Any] = []
        desks = SimpleNamespace(addresses=operators, ask_chain=self.asked.append)
        armament: Any = SimpleNamespace(desks=desks) if operators else None
        self.ahead = AskingChain(armament)


def test_an_answer_is_good_for_one_signing_at_its_head() -> None:
    scene = Scene(OURS)
    scene.ahead.ask(block(7))
    assert scene.asked == [(OURS,)]
    assert scene.ahead.has_asked(block(7))
    assert not scene.ahead.has_asked(block(7))


def test_at_another_head_it_was_not_asked_nor_is_it_good_for_the_first_any_more() -> None:
    scene = Scene(OURS)
    scene.ahead.ask(block(7))
    assert not scene.ahead.has_asked(block(8))
    assert not scene.ahead.has_asked(block(7))


@pytest.mark.parametrize("operators", [(), (OURS, account(6))], ids=["disarmed", "several"])
def test_where_nobody_signs_or_it_is_not_known_who_nothing_is_asked(operators: Any) -> None:
    scene = Scene(*operators)
    scene.ahead.ask(block(7))
    assert scene.asked == []
    assert not scene.ahead.has_asked(block(7))

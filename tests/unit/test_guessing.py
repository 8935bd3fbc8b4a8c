"""For whom it is planned ahead, and when a look at one event is the look at its block."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.guessing import Guess
from keeper.app.planning_ahead import FEW
from keeper.core.lending import AccountRef, Price
from keeper.core.tick import Tick
from keeper.core.values import replace
from keeper.oracle.book import PriceBook
from keeper.runtime.precedence import Precedence
from tests.support.acting_alone import acting_among
from tests.support.ledger_records import MARKET, account, block
from tests.unit.test_price_block import LOG, OTHER


@dataclass
class Rooms:
    """Everything around acting: it plans nothing, and remembers for how many it was asked to."""

    deployment: str = "aave_v3.test"
    asked: list[int] = field(default_factory=list)
    begun: list[object] = field(default_factory=list)
    waits: frozenset[AccountRef] = frozenset()
    moving: bool = False

    def guess(self, batch: Any) -> tuple[str, ...]:
        self.asked.append(len(batch.opportunities))
        return ("a plan",)

    def begin(self, plans: object, *_: object) -> None:
        self.begun.append(plans)

    @property
    def rehearsing_ahead(self) -> "Rooms":
        return self

    def waiting(self, ref: AccountRef, _: int) -> Any:
        return SimpleNamespace(reason=None) if ref in self.waits else None

    def bar(self, *_: object) -> None:
        return None

    def moves(self, *_: object) -> bool:
        return self.moving

    def values(self, _: object, those: Any) -> Any:
        return {one.ref: "a valuation" for one in those}, []


def refs(many: int) -> list[AccountRef]:
    return [AccountRef(market=MARKET, account=account(one)) for one in range(1, many + 1)]


def look(many: int) -> Any:
    health = SimpleNamespace(debt_base=1)
    found = [SimpleNamespace(ref=ref, options=(), health=health) for ref in refs(many)]
    return SimpleNamespace(
        found=SimpleNamespace(opportunities=found, block=block(7), timestamp=8, view="a view"),
        book="a book",
        tick=Tick(),
    )


def guessed(rooms: Any, many: int) -> Rooms:
    acting_among(rooms, Precedence()).guess(look(many))
    found: Rooms = rooms
    return found


@pytest.mark.parametrize(("many", "asked"), [(0, []), (1, [1]), (FEW, [FEW]), (FEW + 1, [])])
def test_it_is_guessed_for_a_few(many: int, asked: list[int]) -> None:
    rooms = guessed(Rooms(), many)
    assert rooms.asked == asked
    assert rooms.begun == [("a plan",) for _ in asked]


def test_who_need_not_be_planned_is_left_out() -> None:
    rooms = guessed(Rooms(waits=frozenset(refs(2))), FEW + 1)
    assert rooms.asked == [FEW - 1]


def test_where_time_moves_a_price_nothing_is_guessed() -> None:
    assert guessed(Rooms(moving=True), 1).asked == []


SNAPSHOT: Any = SimpleNamespace(positions={}, market="a market")
PRICES = PriceBook(
    block=block(7), prices={"WETH": Price(value=9, block=7, updated_at=1)}, problems={}
)
BOOK: Any = SimpleNamespace(
    block=block(7),
    positions=SNAPSHOT.positions,
    market=SNAPSHOT.market,
    prices=PRICES.prices,
    problems=PRICES.problems,
)
GUESS: Any = Guess(log=LOG, look=SimpleNamespace(book=BOOK))  # type: ignore[arg-type]


def test_a_look_at_the_only_event_is_the_look_at_its_block() -> None:
    assert GUESS.confirmed(PRICES, [LOG], SNAPSHOT) is GUESS.look


@pytest.mark.parametrize(
    ("at", "logs"),
    [
        (PRICES, [LOG, OTHER]),
        (PRICES, [OTHER]),
        (PRICES, []),
        (replace(PRICES, block=replace(block(7), hash=block(8).hash)), [LOG]),
        (replace(PRICES, prices={}), [LOG]),
        (replace(PRICES, problems={"WETH": "too old"}), [LOG]),
    ],
    ids=["another event", "another one alone", "none", "another block", "another price", "unfit"],
)
def test_at_other_events_it_is_not(at: Any, logs: Any) -> None:
    assert GUESS.confirmed(at, logs, SNAPSHOT) is None


def test_of_loans_that_changed_meanwhile_it_is_not() -> None:
    changed: Any = SimpleNamespace(positions={}, market=SNAPSHOT.market)
    assert GUESS.confirmed(PRICES, [LOG], changed) is None
    moved: Any = SimpleNamespace(positions=SNAPSHOT.positions, market="another market")
    assert GUESS.confirmed(PRICES, [LOG], moved) is None

"""What is void stays so, also where it was being prepared when it became it."""

from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.prearming import Prearming
from keeper.core.values import replace
from tests.support.ledger_records import block
from tests.unit.test_oracle_telling import EVENTS_OF_ETHER, at, event, telling

AHEAD: Any = SimpleNamespace(
    head=block(7), prices=at(3_000 * 10**24), snapshot=SimpleNamespace(market=None, changed=None)
)

SAME: Any = SimpleNamespace(market=None, changed=frozenset())


class Arms:
    """What is armed, by words alone; something may happen while the chain is asked."""

    is_halted = False

    def __init__(self) -> None:
        self.armed: list[str] = []
        self.fired: list[str] = []
        self.meanwhile: dict[str, Any] = {}
        self.prearm = self

    def is_of_before(self, _: object) -> bool:
        return False

    def begin(self, *_: object) -> None:
        """Forget nothing."""

    async def ready(self, _: object) -> None:
        self.happen("ready")

    async def load(self, *_: object) -> None:
        self.armed = ["of the head"]

    def happen(self, when: str) -> None:
        self.meanwhile.pop(when, lambda: None)()

    def void(self, _: object) -> None:
        self.armed = []

    def moved(self, *_: object) -> None:
        """Take out nobody."""

    def fire(self, *_: object, **__: object) -> None:
        self.fired += self.armed

    def holds(self, _: object) -> int:
        return len(self.armed)


def prearming(arms: Arms) -> Prearming[Any, Any]:
    bench: Any = SimpleNamespace(
        adapter=SimpleNamespace(deployment="m", at=lambda *_, **__: None),
        watcher=SimpleNamespace(telling=telling()),
        parity=SimpleNamespace(is_paused=False),
        block_time_s=12,
        most=1,
    )
    sight: Any = SimpleNamespace(crossing=lambda _: {})
    arming: Any = arms
    return Prearming(bench, arming, sight)


def told(number: int, block_hash: str, *, removed: bool = False) -> Any:
    hint: Any = event(EVENTS_OF_ETHER, 10**8, removed=removed)
    hint.block_number, hint.log_index, hint.block_hash = hex(number), "0x0", block_hash
    return hint


def removed() -> Any:
    return told(8, block(8).hash, removed=True)


async def test_a_head_that_nothing_happens_to_is_armed_for() -> None:
    arms = Arms()
    await prearming(arms)._prepare(AHEAD)
    assert arms.armed


@pytest.mark.parametrize("what", ["a reorg", "a new start", "a pause"])
async def test_what_became_void_while_it_was_prepared_is_not_armed(what: str) -> None:
    arms = Arms()
    made = prearming(arms)
    happens = {
        "a reorg": lambda: made.hear(removed(), 0),
        "a new start": lambda: made.offer(AHEAD),
        "a pause": made.void,
    }
    arms.meanwhile["ready"] = happens[what]
    await made._prepare(AHEAD)
    assert not arms.armed
    await made._prepare(AHEAD)
    assert arms.armed, "the next head is prepared for"


@pytest.mark.parametrize(
    ("event", "is_void"),
    [
        (told(7, block(7).hash), False),
        (told(7, block(70).hash), True),
        (told(6, block(60).hash), True),
        (told(5, block(50).hash), False),
        (told(8, block(80).hash), False),
    ],
    ids=["of the head", "beside it", "beside an earlier one", "of long ago", "of the next"],
)
async def test_an_event_of_another_branch_leaves_nothing_armed(
    event: Any, *, is_void: bool
) -> None:
    arms = Arms()
    made = prearming(arms)
    for number in (6, 7):
        made.offer(SimpleNamespace(**vars(AHEAD) | {"head": block(number), "snapshot": SAME}))
    await made._prepare(AHEAD)
    made.hear(event, 0)
    assert bool(arms.armed) is not is_void


@pytest.mark.parametrize(("block_hash", "fires"), [(block(8).hash, True), (block(80).hash, False)])
async def test_an_event_of_another_branch_than_a_head_that_is_not_armed_for_yet_fires_nothing(
    block_hash: str, *, fires: bool
) -> None:
    arms = Arms()
    made = prearming(arms)
    await made._prepare(AHEAD)
    made.offer(SimpleNamespace(**vars(AHEAD) | {"head": block(8), "snapshot": SAME}))
    made.hear(told(8, block_hash), 0)
    assert bool(arms.fired) is fires


async def test_an_event_of_the_branch_that_a_head_led_to_is_of_no_other() -> None:
    """The block that an undone one of its height is remembered of comes again, as another."""
    arms = Arms()
    made = prearming(arms)
    for head in (block(6), block(7), replace(block(6), hash=block(60).hash)):
        made.offer(SimpleNamespace(**vars(AHEAD) | {"head": head, "snapshot": SAME}))
    await made._prepare(AHEAD)
    made.hear(told(7, block(70).hash), 0)
    assert arms.armed

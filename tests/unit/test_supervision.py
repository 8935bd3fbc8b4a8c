"""Several chains in one process: one that fails is opened again, and the others never notice."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from keeper.app import supervision
from keeper.app.supervision import Berth, Supervisor
from keeper.core.errors import ConfigError, DriftError, InvariantError, TransientError
from keeper.runtime.clock import SystemClock
from keeper.runtime.garbage import keep_for_good
from tests.support.eventually import PATIENCE_S, eventually


@dataclass
class Chain:
    """A chain by hand: what befalls it at each opening, the last for ever."""

    name: str
    at_opening: list[Exception | None] = field(default_factory=lambda: [None])
    while_running: list[Exception | None] = field(default_factory=lambda: [None])
    opened: int = 0
    running: bool = False
    drained: int = 0
    halts: list[str] = field(default_factory=list)
    slow: asyncio.Event | None = None

    @property
    def berth(self) -> Berth:
        return Berth(name=self.name, open=self.open, halt=self.halts.append)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Any]:
        error = self.at_opening.pop(0) if len(self.at_opening) > 1 else self.at_opening[0]
        if self.slow is not None:
            await self.slow.wait()
        if error is not None:
            raise error
        self.opened += 1
        keeper = SimpleNamespace(run=self.run)
        yield SimpleNamespace(keeper=keeper, head=SimpleNamespace(number=7))

    async def run(self, _head: object, stop: asyncio.Event) -> None:
        error = self.while_running.pop(0) if len(self.while_running) > 1 else self.while_running[0]
        self.running = True
        try:
            if error is not None:
                async with asyncio.TaskGroup():
                    raise error
            await stop.wait()
            self.drained += 1
        finally:
            self.running = False


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(supervision, "LONGEST_WAIT_S", 0.02)


def supervised(*chains: Chain) -> tuple[Supervisor, asyncio.Event, "asyncio.Task[None]"]:
    supervisor = Supervisor([one.berth for one in chains], clock=SystemClock())
    stop = asyncio.Event()
    return supervisor, stop, asyncio.create_task(supervisor.run(stop))


class BugError(Exception):
    """Something that nobody foresaw."""


@pytest.mark.parametrize(
    "error", [TransientError("gone"), ConfigError("not so"), DriftError("apart"), BugError("oops")]
)
async def test_a_chain_that_fails_is_opened_again_and_the_others_go_on(error: Exception) -> None:
    sound, ill = Chain("sound"), Chain("ill", while_running=[error, error, None])
    _, stop, running = supervised(sound, ill)
    await eventually(lambda: ill.opened == 3 and ill.running)
    assert (sound.opened, sound.running) == (1, True)
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
    assert (sound.drained, ill.drained) == (1, 1)


async def test_a_chain_that_ends_though_nobody_told_it_to_is_opened_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound, ill = Chain("sound"), Chain("ill")
    ends = [asyncio.CancelledError(), None]

    async def run(head: object, stop: asyncio.Event) -> None:
        if ends and (end := ends.pop(0)) is not None:
            raise end
        if len(ends) == 0 and ill.opened > 2:
            await Chain.run(ill, head, stop)

    monkeypatch.setattr(ill, "run", run)
    _, stop, running = supervised(sound, ill)
    await eventually(lambda: ill.opened == 3 and ill.running)
    assert (sound.opened, sound.running) == (1, True)
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_a_chain_whose_opening_is_cancelled_by_what_it_waits_for_is_opened_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound, ill = Chain("sound"), Chain("ill")
    tries = 0

    @asynccontextmanager
    async def open_at_last() -> AsyncIterator[Any]:
        nonlocal tries
        tries += 1
        if tries == 1:
            answer = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(answer.cancel)
            await answer
        async with Chain.open(ill) as session:
            yield session

    monkeypatch.setattr(ill, "open", open_at_last)
    _, stop, running = supervised(sound, ill)
    await eventually(lambda: ill.running)
    assert (sound.opened, sound.running) == (1, True)
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_what_a_chain_that_failed_held_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        """As a mirror: long-lived, and in a circle."""

        def __init__(self) -> None:
            self.itself = self

    sound, ill = Chain("sound"), Chain("ill", while_running=[BugError(), BugError(), None])
    held: list[weakref.ref[Held]] = []

    async def run(head: object, stop: asyncio.Event) -> None:
        one = Held()
        held.append(weakref.ref(one))
        keep_for_good()
        del one
        await Chain.run(ill, head, stop)

    monkeypatch.setattr(ill, "run", run)
    before = gc.get_threshold()
    try:
        _, stop, running = supervised(sound, ill)
        await eventually(lambda: ill.opened == 3 and ill.running)
        assert [one() is None for one in held[:2]] == [True, True]
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def test_a_chain_that_cannot_be_opened_yet_is_tried_until_it_can() -> None:
    sound = Chain("sound")
    away = Chain(
        "away", at_opening=[ConfigError("rpc: expected an answer"), TransientError(""), None]
    )
    _, stop, running = supervised(away, sound)
    await eventually(lambda: away.running)
    assert sound.opened == 1
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_a_broken_promise_on_one_chain_ends_the_process() -> None:
    sound, broken = Chain("sound"), Chain("broken", while_running=[InvariantError("disk is full")])
    _, _, running = supervised(sound, broken)
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(running, PATIENCE_S)
    assert caught.value.subgroup(InvariantError) is not None
    assert broken.opened == 1
    assert not sound.running


async def test_when_no_chain_at_all_can_be_opened_it_ends_with_every_reason() -> None:
    chains = [Chain(name, at_opening=[ConfigError(f"{name} is away")]) for name in ("a", "b")]
    _, _, running = supervised(*chains)
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(running, PATIENCE_S)
    said = repr(caught.value)
    assert "a is away" in said
    assert "b is away" in said


async def test_a_stop_does_not_wait_for_a_chain_that_is_being_opened() -> None:
    sound, slow = Chain("sound"), Chain("slow", slow=asyncio.Event())
    _, stop, running = supervised(sound, slow)
    await eventually(lambda: sound.running)
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
    assert (sound.drained, slow.opened) == (1, 0)


async def test_a_stop_does_not_wait_for_a_chain_that_waits_to_be_opened_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "FIRST_WAIT_S", 1_000.0)
    sound, ill = Chain("sound"), Chain("ill", while_running=[TransientError("gone")])
    _, stop, running = supervised(sound, ill)
    await eventually(lambda: ill.opened == 1 and not ill.running and sound.running)
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_the_kill_switch_reaches_every_chain_also_one_that_is_not_open() -> None:
    sound, late = Chain("sound"), Chain("late", at_opening=[TransientError("")], slow=None)
    supervisor, stop, running = supervised(sound, late)
    await eventually(lambda: sound.running)
    supervisor.halt("enough")
    assert not late.running
    assert (sound.halts, late.halts) == (["enough"], ["enough"])
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_what_failed_is_logged_with_its_chain_and_without_foreign_words() -> None:
    sound, ill = Chain("sound"), Chain("ill", while_running=[BugError("https://secret"), None])
    with capture_logs() as lines:
        _, stop, running = supervised(sound, ill)
        await eventually(lambda: ill.opened == 2)
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)
    (line,) = [one for one in lines if one["event"] == supervision.CHAIN_FAILED]
    assert line["kind"] == "BugError"
    assert line["why"].startswith("a fault of Keeper itself: BugError at ")
    assert "secret" not in line["why"]

"""A compartment: what a fault of one deployment does, with deployments by hand."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from keeper.app import compartment
from keeper.app.board import Board
from keeper.app.chorus import Chorus
from keeper.app.compartment import Compartment
from keeper.app.hull import Hull
from keeper.app.log_observer import MARKET_RESUMED, LogObserver
from keeper.core.chain import LogFilter
from keeper.core.errors import ConfigError, DriftError, InvariantError, TransientError
from keeper.core.units import Address
from keeper.executor.seam import Seam
from keeper.runtime.clock import SystemClock
from keeper.runtime.latest import Latest
from keeper.telemetry.tallies import Tallies
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.heard import Heard
from tests.support.ledger_records import block

FEED = LogFilter(addresses=frozenset({Address("0xfeed")}), topics=frozenset())


class BugError(Exception):
    """Something that nobody foresaw."""


@dataclass(eq=False)
class Loop:
    """What acts, by hand: it runs until closed, or until it is made to fail."""

    mail: Latest[Exception] = field(default_factory=Latest)
    acted_on: int = 7

    async def run(self) -> None:
        async for error in self.mail:
            raise error

    def close(self) -> None:
        self.mail.close()


@dataclass(eq=False)
class Deployed:
    """A deployment by hand; what each door meets can be set."""

    name: str
    observer: Heard
    at_start: Exception | None = None
    at_door: Exception | None = None
    acting: Loop = field(default_factory=Loop)
    prearming: Any = None
    backrun: None = None
    is_barred: bool = False
    price_filter: LogFilter = FEED
    said: str = ""
    heads: list[int] = field(default_factory=list)
    books_forgotten: int = 0
    kept: int = 0

    @property
    def is_paused(self) -> bool:
        return bool(self.said)

    @property
    def shelf(self) -> Any:
        return SimpleNamespace(forget_book=self.forget_book)

    def forget_book(self) -> None:
        self.books_forgotten += 1

    def pause(self, why: str) -> None:
        self.said = why
        self.observer.paused(self.name, why)

    async def start(self, head: Any) -> None:
        if self.at_start is not None:
            raise self.at_start
        self.heads.append(head.number)

    async def see_head(self, head: Any) -> bool:
        if self.at_door is not None:
            raise self.at_door
        self.heads.append(head.number)
        return True

    async def see_price(self, _: Any) -> None:
        self.hear_price()

    def hear_price(self, *_: Any) -> None:
        if self.at_door is not None:
            raise self.at_door
        self.heads.append(-1)

    see_pending = hear_price

    async def checkpoint(self) -> None:
        if self.at_door is not None:
            raise self.at_door
        self.kept += 1

    def close(self) -> None:
        self.acting.close()


@dataclass
class Chain:
    """Two deployments, each of which is built anew as often as it must be."""

    heard: Heard = field(default_factory=Heard)
    seam: Seam = field(default_factory=Seam)
    at_building: Exception | None = None
    at_start: dict[str, Exception | None] = field(default_factory=dict)
    built: dict[str, list["weakref.ref[Deployed]"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sound, self.ill = self.of("sound"), self.of("ill")
        self.hull = Hull([self.sound, self.ill])

    def of(self, name: str) -> Compartment:
        def build() -> Any:
            if self.at_building is not None:
                raise self.at_building
            made = Deployed(name, self.heard, at_start=self.at_start.get(name))
            self.built.setdefault(name, []).append(weakref.ref(made))
            return made

        return Compartment(build, self.seam, self.heard, SystemClock())

    async def run(self) -> None:
        await self.hull.start(block(1), ())
        async with asyncio.TaskGroup() as group:
            for one in self.hull.compartments:
                group.create_task(one.run())

    def failing(self, name: str, error: Exception | None) -> None:
        """Have what is built from now on fail at its start."""
        self.at_start[name] = error


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compartment, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(compartment, "LONGEST_WAIT_S", 0.004)


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Any]]:
    """What is logged."""
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what failed stay out."""
    monkeypatch.setattr(compartment, "FIRST_WAIT_S", 1_000.0)


def deployed(one: Compartment) -> Any:
    return one.deployment


async def up(chain: Chain) -> "asyncio.Task[None]":
    running = asyncio.create_task(chain.run())
    await eventually(lambda: running.done() or all(one.is_sound for one in chain.hull.compartments))
    return running


async def closed(chain: Chain, running: "asyncio.Task[None]") -> None:
    chain.hull.close()
    await asyncio.wait_for(running, PATIENCE_S)


def by_head(chain: Chain) -> None:
    chain.hull.see_head(block(2))


def by_tap(chain: Chain) -> None:
    chain.hull.hear_price(Any, 0)  # type: ignore[arg-type]


def by_mempool(chain: Chain) -> None:
    chain.hull.see_pending(Any)  # type: ignore[arg-type]


@pytest.mark.parametrize("door", [by_head, by_tap, by_mempool])
@pytest.mark.parametrize(
    "error", [BugError("oops"), KeyError("x"), TransientError("gone"), ConfigError("full")]
)
@pytest.mark.usefixtures("for_good")
async def test_whatever_comes_by_a_door_ends_that_deployment_alone(
    door: Any, error: Exception
) -> None:
    chain = Chain()
    running = await up(chain)
    deployed(chain.ill).at_door = error
    door(chain)
    await eventually(lambda: len(chain.heard.pauses) == 1 and len(deployed(chain.sound).heads) == 2)
    assert (chain.sound.is_sound, chain.ill.is_sound) == (True, False)
    door(chain)
    await eventually(lambda: len(deployed(chain.sound).heads) == 3)
    assert len(chain.heard.pauses) == 1
    assert not running.done()
    await closed(chain, running)


@pytest.mark.usefixtures("for_good")
async def test_a_loop_that_ends_by_itself_is_a_fault() -> None:
    async def is_cancelled_by_what_it_waits_for(_: Loop) -> None:
        other = asyncio.ensure_future(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(other.cancel)
        await other

    chain = Chain()
    deployed(chain.ill).acting.run = partial(is_cancelled_by_what_it_waits_for, Loop())
    running = asyncio.create_task(chain.run())
    await eventually(lambda: bool(chain.heard.pauses))
    assert chain.sound.is_sound
    assert "EndedError" in chain.heard.pauses[0]
    await closed(chain, running)


@pytest.mark.usefixtures("for_good")
async def test_a_price_event_reaches_those_behind_a_deployment_that_it_makes_fail() -> None:
    chain = Chain()
    chain.hull.compartments = chain.hull.compartments[::-1]
    running = await up(chain)
    deployed(chain.ill).at_door = BugError()
    await chain.hull.see_price(Any)  # type: ignore[arg-type]
    assert deployed(chain.sound).heads == [1, -1]
    assert chain.heard.pauses
    await closed(chain, running)


async def test_what_failed_is_built_anew_and_reads_every_account_again() -> None:
    chain = Chain()
    running = await up(chain)
    failed = deployed(chain.ill)
    chain.hull.see_head(block(2))
    failed.acting.mail.put(BugError())
    await eventually(lambda: chain.heard.resumptions == ["ill"])
    assert failed.books_forgotten == 1
    assert deployed(chain.ill) is not failed
    await eventually(lambda: deployed(chain.ill).heads == [2, 2])
    assert len(chain.built["sound"]) == 1
    await closed(chain, running)


async def test_what_fails_again_and_again_is_tried_at_growing_intervals_for_ever() -> None:
    chain = Chain()
    running = await up(chain)
    chain.failing("ill", BugError())
    deployed(chain.ill).acting.mail.put(BugError())
    await eventually(lambda: len(chain.built["ill"]) == 6)
    said = [one.split("after ")[1].split(" s")[0] for one in chain.heard.pauses[:5]]
    assert said == ["0.001", "0.002", "0.004", "0.004", "0.004"]
    chain.failing("ill", None)
    await eventually(lambda: chain.ill.is_sound)
    await closed(chain, running)


async def test_what_cannot_even_be_built_is_tried_until_it_can() -> None:
    chain = Chain()
    running = await up(chain)
    chain.at_building = BugError()
    deployed(chain.ill).acting.mail.put(BugError())
    await eventually(lambda: len(chain.heard.pauses) > 3)
    chain.at_building = None
    await eventually(lambda: chain.ill.is_sound)
    await closed(chain, running)


async def test_what_a_failed_deployment_held_is_given_back() -> None:
    chain = Chain()
    running = await up(chain)
    chain.hull.see_head(block(2))
    for number in (1, 2, 3):
        deployed(chain.ill).cycle = chain.ill.deployment
        deployed(chain.ill).acting.mail.put(BugError())
        await eventually(lambda: len(chain.heard.resumptions) == number)  # noqa: B023
    await eventually(lambda: deployed(chain.ill).heads == [2, 2])
    gc.collect()
    assert [one() is not None for one in chain.built["ill"]] == [False, False, False, True]
    await closed(chain, running)


async def test_a_pause_that_outlives_the_fault_is_not_called_over() -> None:
    chain = Chain()
    running = await up(chain)
    whole = chain.ill._build

    def barred() -> Any:
        made = whole()
        made.is_barred = True
        return made

    chain.ill._build = barred
    deployed(chain.ill).acting.mail.put(BugError())
    await eventually(lambda: len(chain.built["ill"]) == 2 and chain.ill.is_sound)
    assert chain.heard.resumptions == []
    await closed(chain, running)


@pytest.mark.usefixtures("for_good")
async def test_the_last_sound_deployment_takes_the_chain_with_it() -> None:
    chain = Chain()
    running = await up(chain)
    deployed(chain.ill).acting.mail.put(BugError("first"))
    await eventually(lambda: not chain.ill.is_sound)
    deployed(chain.sound).acting.mail.put(BugError("last"))
    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(running, PATIENCE_S)
    assert failed.group_contains(BugError, match="last")


@pytest.mark.usefixtures("for_good")
async def test_the_pause_of_the_last_is_over_once_its_chain_is_opened_again(
    lines: list[Any],
) -> None:
    board = Board(Tallies(CollectorRegistry()), now=lambda: 0.0)
    told: Any = Chorus([LogObserver(), board])
    chain = Chain(heard=told)
    running = await up(chain)
    for one in (chain.ill, chain.sound):
        deployed(one).acting.mail.put(BugError())
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(running, PATIENCE_S)
    assert all(board.of(one).paused for one in ("sound", "ill"))
    again = Chain(heard=told)
    deployed(again.ill).is_barred = True
    running = await up(again)
    assert [bool(board.of(one).paused) for one in ("sound", "ill")] == [False, True]
    assert [one["deployment"] for one in lines if one["event"] == MARKET_RESUMED] == ["sound"]
    await closed(again, running)


@pytest.mark.usefixtures("for_good")
async def test_a_deployment_that_is_paused_as_a_whole_does_not_count_as_sound() -> None:
    chain = Chain()
    running = await up(chain)
    deployed(chain.ill).pause("an unknown revision")
    deployed(chain.sound).acting.mail.put(BugError())
    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(running, PATIENCE_S)
    assert failed.group_contains(BugError)


@pytest.mark.parametrize(
    "error",
    [InvariantError("disk"), ExceptionGroup("of lanes", [BugError(), InvariantError("disk")])],
)
@pytest.mark.parametrize("door", [by_head, by_tap])
async def test_a_broken_promise_is_the_chains_by_whatever_door(door: Any, error: Exception) -> None:
    chain = Chain()
    running = await up(chain)
    deployed(chain.ill).at_door = error
    door(chain)
    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(running, PATIENCE_S)
    assert failed.group_contains(InvariantError, match="disk")


async def test_a_fault_in_the_middle_of_sending_is_the_chains() -> None:
    chain = Chain()
    running = await up(chain)
    with pytest.raises(BugError), chain.seam:
        raise BugError
    deployed(chain.ill).acting.mail.put(BugError())
    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(running, PATIENCE_S)
    assert failed.group_contains(BugError)


@pytest.mark.parametrize("error", [TransientError("gone"), ConfigError("no chain id")])
def test_what_is_refused_or_cannot_be_had_tears_no_seam(error: Exception) -> None:
    seam = Seam()
    with pytest.raises(type(error)), seam:
        raise error
    assert not seam.is_torn


async def test_a_second_fault_of_what_ends_is_judged_too() -> None:
    chain = Chain()
    running = await up(chain)
    deployed(chain.ill).at_door = BugError()
    chain.hull.hear_price(Any, 0)  # type: ignore[arg-type]
    chain.ill.strike(InvariantError("disk"))
    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(running, PATIENCE_S)
    assert failed.group_contains(InvariantError)


@pytest.mark.usefixtures("for_good")
async def test_a_stop_does_not_wait_for_what_is_to_be_opened_anew() -> None:
    chain = Chain()
    running = await up(chain)
    deployed(chain.ill).acting.mail.put(BugError())
    await eventually(lambda: not chain.ill.is_sound)
    await closed(chain, running)
    deployed(chain.sound).at_door = None
    await chain.hull.checkpoint()
    assert (deployed(chain.sound).kept, deployed(chain.ill).kept) == (1, 0)


async def test_a_fault_at_the_last_checkpoint_does_not_cost_the_others_theirs() -> None:
    chain = Chain()
    chain.hull.compartments = chain.hull.compartments[::-1]
    running = await up(chain)
    await closed(chain, running)
    deployed(chain.ill).at_door = BugError()
    await chain.hull.checkpoint()
    assert deployed(chain.sound).kept == 1


async def test_a_broken_promise_at_the_last_checkpoint_is_raised() -> None:
    chain = Chain()
    running = await up(chain)
    await closed(chain, running)
    deployed(chain.ill).at_door = InvariantError("disk")
    with pytest.raises(InvariantError):
        await chain.hull.checkpoint()


async def test_a_fault_at_the_start_leaves_one_out_until_it_is_opened_anew() -> None:
    chain = Chain()
    deployed(chain.ill).at_start = BugError()
    running = asyncio.create_task(chain.run())
    await eventually(lambda: chain.heard.resumptions == ["ill"])
    assert chain.sound.is_sound
    await closed(chain, running)


async def test_a_setting_or_drift_at_the_start_leaves_one_out_until_a_restart() -> None:
    for error in (ConfigError("revision"), DriftError("apart")):
        chain = Chain()
        deployed(chain.ill).at_start = error
        running = asyncio.create_task(chain.run())
        await eventually(lambda: bool(chain.heard.pauses))  # noqa: B023
        chain.hull.see_head(block(2))
        await eventually(lambda: deployed(chain.sound).heads == [1, 2])  # noqa: B023
        assert chain.heard.pauses == [str(error)]
        assert len(chain.built["ill"]) == 1
        await closed(chain, running)


@pytest.mark.parametrize("error", [BugError("oops"), TransientError("gone"), InvariantError("x")])
async def test_a_start_at_which_everybody_fails_ends_with_what_was_wrong(error: Exception) -> None:
    chain = Chain()
    for one in (chain.sound, chain.ill):
        deployed(one).at_start = error
    with pytest.raises(type(error)) as failed:
        await asyncio.wait_for(chain.run(), PATIENCE_S)
    assert failed.value is error


async def test_what_has_something_in_flight_is_not_left_out_at_the_start() -> None:
    chain = Chain()
    deployed(chain.ill).at_start = BugError()
    with pytest.raises(BugError):
        await chain.hull.start(block(1), {"ill"})


@pytest.mark.usefixtures("for_good")
async def test_the_feeds_of_what_failed_are_followed_on_so_that_no_socket_changes() -> None:
    chain = Chain()
    running = await up(chain)
    assert chain.hull.price_filter == FEED
    deployed(chain.ill).acting.mail.put(BugError())
    await eventually(lambda: not chain.ill.is_sound)
    assert chain.ill.price_filter == FEED
    await closed(chain, running)


@pytest.mark.usefixtures("for_good")
async def test_a_fault_is_logged_once_with_its_place_and_without_its_words(
    lines: list[Any],
) -> None:
    chain = Chain()
    running = await up(chain)
    deployed(chain.ill).acting.mail.put(BugError("https://node/secret"))
    await eventually(lambda: not chain.ill.is_sound)
    await closed(chain, running)
    (line,) = [one for one in lines if one["event"] == compartment.DEPLOYMENT_FAILED]
    assert (line["deployment"], line["kind"], line["log_level"]) == ("ill", "BugError", "error")
    assert line["why"].startswith("a fault of Keeper itself: BugError at ")
    assert isinstance(line["exc_info"], BugError)
    assert "secret" not in line["why"] + "".join(chain.heard.pauses)

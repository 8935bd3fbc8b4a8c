"""Compartments over deployments by hand, which fail as a test says."""

import asyncio
import weakref
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app import compartment
from keeper.app.compartment import Compartment
from keeper.app.hull import Hull
from keeper.app.outlook import Outlook
from keeper.core.chain import LogFilter
from keeper.core.units import Address
from keeper.executor.seam import Seam
from keeper.runtime.clock import SystemClock
from keeper.runtime.latest import Latest
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.heard import Heard
from tests.support.ledger_records import block

NOBODY: Any = None
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
    outlook: Outlook[Any, Any] = field(default_factory=lambda: Outlook(NOBODY, None, None))
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


def open_anew_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what failed try again at once."""
    monkeypatch.setattr(compartment, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(compartment, "LONGEST_WAIT_S", 0.004)


def stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what failed stay out for longer than a test runs."""
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

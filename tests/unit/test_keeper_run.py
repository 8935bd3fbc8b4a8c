"""How a keeper runs and stops: what it bears, and that what it sends is brought to an end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.compartment import Compartment
from keeper.app.hull import Hull
from keeper.app.keeper import Keeper, KeeperPace, Streams
from keeper.app.outlook import Outlook
from keeper.chain.agreed import AgreedHeads
from keeper.chain.head_tracker import HeadEvent
from keeper.core.chain import BlockRef, LogFilter
from keeper.core.errors import (
    ConfigError,
    DriftError,
    InvariantError,
    RefusedError,
    StaleError,
    TransientError,
)
from keeper.core.values import replace
from keeper.executor.flight import Flight
from keeper.executor.seam import Seam
from keeper.runtime.clock import SystemClock
from keeper.runtime.lasting import EndedError
from keeper.runtime.precedence import Precedence
from tests.support.compartments import NOBODY
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.heard import Heard
from tests.support.ledger_records import block, plan
from tests.support.signed_plans import SIGNER, signed

NOTHING = LogFilter(addresses=frozenset(), topics=frozenset())
PLAN = replace(plan(), transaction=replace(plan().transaction, sender=SIGNER.address))


class Quiet:
    """A stream that never tells anything."""

    def watch(self, wanted: LogFilter) -> None:
        self.wanted = wanted

    async def follow(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield None


@dataclass
class Deployed:
    """A deployment and its acting by hand: it starts when it may, and sends when it is closed."""

    flight: Flight
    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    done: list[str] = field(default_factory=list)
    fails: Exception | None = None
    price_filter: LogFilter = NOTHING
    name: str = "one"
    is_paused: bool = False
    is_barred: bool = False
    acted_on: int = 0
    outlook: Outlook[Any, Any] = field(default_factory=lambda: Outlook(NOBODY, None, None))

    async def start(self, _head: object) -> None:
        if self.fails is not None:
            raise self.fails
        await self.may_start.wait()
        self.done.append("started")

    @property
    def acting(self) -> "Deployed":
        return self

    async def run(self) -> None:
        await self.closed.wait()
        await asyncio.sleep(0.02)
        self.flight.took_off(PLAN, signed(PLAN, 5))
        self.done.append("sent")

    def close(self) -> None:
        self.closed.set()

    def pause(self, why: str) -> None:
        self.is_paused = True
        self.done.append(f"paused: {why}")

    async def checkpoint(self) -> None:
        self.done.append("checkpoint")

    async def see_head(self, head: BlockRef) -> bool:
        self.done.append(f"saw {head.number}")
        return True


async def nothing(*_: object) -> list[Any]:
    return []


def keeper_of(
    deployed: Deployed,
    *others: Deployed,
    drain_s: float = 5.0,
    settle: Any = nothing,
    observer: Any = None,
    heads: Any = None,
    prices: Any = None,
) -> Keeper:

    reader: Any = None
    sending: Any = SimpleNamespace(
        flight=deployed.flight,
        agreed=AgreedHeads(reader),
        doubtful=SimpleNamespace(look=nothing),
        settler=SimpleNamespace(settle=settle),
        canon=SimpleNamespace(review=nothing),
        executor=SimpleNamespace(tend=nothing, head_seen=lambda _: None),
        standing=SimpleNamespace(review=nothing),
        arming=None,
    )
    quiet: Any = Quiet()
    told = observer or Heard()
    compartments: Any = [
        Compartment(lambda made=one: made, Seam(), told, SystemClock())  # type: ignore[misc]
        for one in (deployed, *others)
    ]
    return Keeper(
        hull=Hull(compartments),
        sending=sending,
        streams=Streams(heads=heads or quiet, prices=prices or quiet, pending=None),
        observer=told,
        pace=KeeperPace(drain_s=drain_s, max_head_gap_s=0, finality_depth=8),
        precedence=Precedence(),
    )


async def test_a_stop_while_starting_ends_at_once() -> None:
    deployed, stop = Deployed(Flight()), asyncio.Event()
    running = asyncio.ensure_future(keeper_of(deployed).run(block(1), stop))
    await asyncio.sleep(0.01)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
    assert deployed.done == []


async def test_a_start_that_fails_ends_the_keeper_with_its_reason() -> None:
    deployed = Deployed(Flight(), fails=ConfigError("no such pool"))
    with pytest.raises(ConfigError, match="no such pool"):
        await asyncio.wait_for(keeper_of(deployed).run(block(1), asyncio.Event()), PATIENCE_S)


@pytest.mark.parametrize("error", [ConfigError("no such pool"), DriftError("no such pool")])
async def test_a_deployment_that_cannot_be_read_is_left_out_and_the_others_run(
    error: Exception,
) -> None:
    flight, stop = Flight(), asyncio.Event()
    sound, ill = Deployed(flight), Deployed(flight, fails=error)
    sound.may_start.set()
    keeper = keeper_of(sound, ill, drain_s=0.1)
    running = asyncio.ensure_future(keeper.run(block(1), stop))
    await asyncio.wait_for(keeper.watching.wait(), PATIENCE_S)
    sound.acted_on = 7
    assert keeper.acted_on == 7
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
    assert sound.done == ["started", "sent", "checkpoint"]
    assert ill.done[0] == "paused: no such pool"
    assert "checkpoint" not in ill.done


async def test_a_keeper_of_nobody_who_is_enabled_ends_in_order() -> None:
    keeper, stop = keeper_of(Deployed(Flight())), asyncio.Event()
    keeper._hull = Hull([])
    running = asyncio.ensure_future(keeper.run(block(1), stop))
    await asyncio.wait_for(keeper.watching.wait(), PATIENCE_S)
    keeper._hull.see_head(block(7))
    assert keeper.acted_on == 7
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_a_deployment_with_something_in_flight_is_not_left_out() -> None:
    flight = Flight()
    flight.took_off(PLAN, signed(PLAN, 5))
    sound = Deployed(flight)
    ill = Deployed(flight, fails=ConfigError("no such pool"), name=PLAN.deployment)
    sound.may_start.set()
    with pytest.raises(ConfigError, match="no such pool"):
        await asyncio.wait_for(keeper_of(sound, ill).run(block(1), asyncio.Event()), PATIENCE_S)


async def test_what_is_being_sent_when_it_stops_is_brought_to_its_end() -> None:
    deployed, stop = Deployed(Flight()), asyncio.Event()
    deployed.may_start.set()
    keeper = keeper_of(deployed)
    running = asyncio.ensure_future(keeper.run(block(1), stop))
    await asyncio.wait_for(keeper.watching.wait(), PATIENCE_S)
    stop.set()
    await eventually(lambda: deployed.done == ["started", "sent"])
    assert not running.done()
    deployed.flight.landed(PLAN.id)
    await asyncio.wait_for(running, PATIENCE_S)
    assert deployed.done == ["started", "sent", "checkpoint"]


async def test_what_does_not_end_in_time_is_left_to_the_next_run() -> None:
    deployed, stop = Deployed(Flight()), asyncio.Event()
    deployed.may_start.set()
    keeper = keeper_of(deployed, drain_s=0.1)
    running = asyncio.ensure_future(keeper.run(block(1), stop))
    await asyncio.wait_for(keeper.watching.wait(), PATIENCE_S)
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
    assert deployed.flight.airborne
    assert deployed.done[-1] == "checkpoint"


@pytest.mark.parametrize("error", [TransientError, StaleError, RefusedError])
async def test_a_head_that_cannot_be_settled_is_skipped_and_said_so(
    error: type[Exception],
) -> None:
    said: list[tuple[str, str]] = []

    async def settle(_head: object) -> list[Any]:
        raise error("no answer")

    deployed, stop = Deployed(Flight()), asyncio.Event()
    deployed.may_start.set()
    observer = SimpleNamespace(skipped=lambda *what: said.append(what), begun=lambda _: None)
    keeper = keeper_of(deployed, settle=settle, observer=observer, drain_s=0.1)
    running = asyncio.ensure_future(keeper.run(block(1), stop))
    await eventually(lambda: said == [("settler", "no answer")])
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_a_broken_promise_while_settling_ends_the_keeper() -> None:
    async def settle(_head: object) -> list[Any]:
        msg = "the disk is full"
        raise InvariantError(msg)

    deployed = Deployed(Flight())
    deployed.may_start.set()
    keeper = keeper_of(deployed, settle=settle)
    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(keeper.run(block(1), asyncio.Event()), PATIENCE_S)
    assert failed.group_contains(InvariantError, match="the disk is full")


@pytest.mark.parametrize("which", ["heads", "prices"])
async def test_a_stream_that_ends_though_nobody_told_it_to_ends_the_keeper(which: str) -> None:
    class Ending(Quiet):
        async def follow(self) -> AsyncIterator[Any]:
            for nothing_more in ():
                yield nothing_more

    deployed = Deployed(Flight())
    deployed.may_start.set()
    keeper = keeper_of(deployed, **{which: Ending()})
    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(keeper.run(block(1), asyncio.Event()), PATIENCE_S)
    assert failed.group_contains(EndedError, match=f"_follow_{which}")


async def test_settling_that_is_cancelled_by_what_it_waits_for_ends_the_keeper() -> None:
    async def settle(_head: object) -> list[Any]:
        raise asyncio.CancelledError

    deployed = Deployed(Flight())
    deployed.may_start.set()
    keeper = keeper_of(deployed, settle=settle)
    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(keeper.run(block(1), asyncio.Event()), PATIENCE_S)
    assert failed.group_contains(EndedError, match="_settle")


@dataclass
class Told:
    """A stream that tells one head."""

    event: HeadEvent

    async def follow(self) -> AsyncIterator[Any]:
        yield self.event
        await asyncio.Event().wait()


@pytest.mark.parametrize("reorg_from", [None, 1])
async def test_what_a_reorg_undid_is_open_again_before_anybody_is_planned_for(
    reorg_from: int | None,
) -> None:
    deployed, stop, may_review = Deployed(Flight()), asyncio.Event(), asyncio.Event()
    deployed.may_start.set()
    heads = Told(HeadEvent(block=block(2), reorg_from=reorg_from))
    keeper = keeper_of(deployed, drain_s=0.1, heads=heads)

    async def reviewed(head: BlockRef, _: object) -> list[Any]:
        if head.number > 1:
            await may_review.wait()
            deployed.done.append("reviewed")
        return []

    keeper.sending.canon.review = reviewed  # type: ignore[method-assign]
    running = asyncio.ensure_future(keeper.run(block(1), stop))
    await eventually(lambda: keeper._newest == block(2))
    if reorg_from is None:
        await eventually(lambda: "saw 2" in deployed.done)
    assert "reviewed" not in deployed.done
    may_review.set()
    await eventually(lambda: {"saw 2", "reviewed"} <= set(deployed.done))
    assert (deployed.done.index("saw 2") > deployed.done.index("reviewed")) is bool(reorg_from)
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_a_head_waits_for_what_was_sent_no_longer_than_a_while() -> None:
    deployed, stop = Deployed(Flight()), asyncio.Event()
    deployed.may_start.set()
    keeper = keeper_of(deployed, drain_s=0.1, heads=Told(HeadEvent(block=block(2), reorg_from=1)))

    async def never(head: BlockRef, _: object) -> list[Any]:
        if head.number > 1:
            await asyncio.Event().wait()
        return []

    keeper.sending.canon.review = never  # type: ignore[method-assign]
    running = asyncio.ensure_future(keeper.run(block(1), stop))
    await eventually(lambda: "saw 2" in deployed.done)
    running.cancel()
    await asyncio.wait([running])

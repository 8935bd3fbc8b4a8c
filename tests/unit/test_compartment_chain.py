"""What of a deployment's fault is the whole chain's: at the start, while it runs, at the end."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from keeper.app.board import Board
from keeper.app.chorus import Chorus
from keeper.app.log_observer import MARKET_RESUMED, LogObserver
from keeper.core.errors import ConfigError, DriftError, InvariantError, TransientError
from keeper.executor.seam import Seam
from keeper.telemetry.tallies import Tallies
from tests.support.compartments import (
    BugError,
    Chain,
    by_head,
    by_tap,
    closed,
    deployed,
    open_anew_soon,
    stay_out,
    up,
)
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.ledger_records import block


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    open_anew_soon(monkeypatch)


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Any]]:
    """What is logged."""
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    stay_out(monkeypatch)


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

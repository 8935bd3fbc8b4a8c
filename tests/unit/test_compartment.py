"""A compartment: a fault of one deployment ends that one alone, which is opened anew."""

import asyncio
import gc
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from keeper.app import compartment
from keeper.core.errors import ConfigError, TransientError
from tests.support.compartments import (
    FEED,
    BugError,
    Chain,
    Loop,
    by_head,
    by_tap,
    closed,
    deployed,
    open_anew_soon,
    stay_out,
    up,
)
from tests.support.eventually import eventually
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


@pytest.mark.usefixtures("for_good")
async def test_a_price_event_does_not_wait_for_what_another_deployment_reads() -> None:
    chain = Chain()
    chain.hull.compartments = chain.hull.compartments[::-1]
    running, answered = await up(chain), asyncio.Event()
    deployed(chain.ill).see_price = lambda _: answered.wait()  # type: ignore[assignment,method-assign]
    seeing = asyncio.create_task(chain.hull.see_price(Any))  # type: ignore[arg-type]
    await eventually(lambda: deployed(chain.sound).heads == [1, -1])
    assert not seeing.done()
    answered.set()
    await seeing
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

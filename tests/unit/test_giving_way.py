"""What a head brings besides gives way to whoever is being planned for."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app.acting import Acting
from keeper.app.sight import Look
from keeper.app.skipping import TRIES
from keeper.core.errors import StaleError
from keeper.core.tick import Tick
from keeper.runtime.precedence import Precedence
from tests.support.acting_alone import acting_among
from tests.support.eventually import PATIENCE_S
from tests.support.ledger_records import block


async def nothing(*_: object) -> None:
    """Read nothing."""


def acting(precedence: Precedence) -> Acting[Any, Any]:
    nobody: Any = SimpleNamespace(
        deployment="aave_v3.test", make_ready=nothing, exposure=nothing, check_ahead=nothing
    )
    return acting_among(nobody, precedence)


def look(*opportunities: str, of_all: bool = True, number: int = 7) -> Any:
    found = [SimpleNamespace(ref=one, options=()) for one in opportunities]
    scan: Any = SimpleNamespace(opportunities=found)
    book: Any = SimpleNamespace(block=block(number), moved="")
    return Look(book=book, held_at=block(7), found=scan, tick=Tick(), of_all=of_all)


async def test_a_look_that_found_nobody_holds_nothing_up() -> None:
    precedence = Precedence()
    acting(precedence).offer(look())
    assert not precedence.is_claimed
    await precedence.give_way(PATIENCE_S)


async def test_a_look_that_found_somebody_holds_it_up_until_acting_is_done() -> None:
    precedence = Precedence()
    busy = acting(precedence)
    busy.offer(look("somebody"))
    waiting = asyncio.ensure_future(precedence.give_way(PATIENCE_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    busy.close()
    await busy.run()
    await waiting


async def test_it_is_not_held_up_for_longer_than_is_said() -> None:
    precedence = Precedence()
    precedence.claim("somebody")
    await precedence.give_way(0.0)
    assert precedence.is_claimed


async def test_a_claim_for_a_while_lapses_by_itself() -> None:
    precedence = Precedence()
    precedence.claim("a price that was heard", most_s=0.0)
    assert precedence.is_claimed
    await precedence.give_way(PATIENCE_S)
    assert not precedence.is_claimed


async def test_whoever_waits_goes_on_when_the_last_of_several_is_done() -> None:
    precedence = Precedence()
    precedence.claim("one")
    with precedence.claimed("other"):
        precedence.release("one")
        assert precedence.is_claimed
    await precedence.give_way(PATIENCE_S)


async def test_an_error_in_what_goes_first_lets_the_others_go_on() -> None:
    precedence = Precedence()
    with suppress(StaleError), precedence.claimed("a price"):
        raise StaleError("gone")
    await precedence.give_way(PATIENCE_S)


async def test_nobody_waits_for_a_deployment_whose_acting_has_failed() -> None:
    precedence = Precedence()
    failing = acting(precedence)
    failing.offer(look("somebody"))
    with pytest.raises(AttributeError):  # nobody is nothing to act with
        await failing.run()
    assert not precedence.is_claimed


async def test_nobody_waits_for_a_deployment_that_is_closed() -> None:
    precedence = Precedence()
    closed = acting(precedence)
    closed.offer(look("somebody"))
    closed.close()
    assert not precedence.is_claimed
    closed.offer(look("somebody"))
    assert not precedence.is_claimed


async def test_a_price_that_brings_nobody_takes_no_waiting_looks_place() -> None:
    busy = acting(Precedence())
    waiting, brings, none = look("somebody"), look("another", of_all=False), look(of_all=False)
    busy.offer(waiting)
    busy.offer(none)
    assert busy._mail.take() is waiting
    busy.offer(waiting)
    busy.offer(brings)
    assert busy._mail.take() is brings
    busy.offer(waiting)
    busy.offer(newest := look())
    assert busy._mail.take() is newest


async def test_a_head_that_is_read_late_takes_not_the_place_of_a_later_price() -> None:
    busy = acting(Precedence())
    price, late = look("somebody", of_all=False, number=8), look("another", number=7)
    busy.offer(price)
    busy.offer(late)
    assert busy._mail.take() is price
    assert busy.reading_ahead._block == price.book.block.hash, "which is what is waited for"
    busy.offer(look(of_all=False, number=8))
    busy.offer(late)
    assert busy._mail.take() is late
    busy.offer(price)
    busy.offer(own := look("another", number=8))
    assert busy._mail.take() is own


@pytest.mark.parametrize(("waits", "tries"), [(7, TRIES), (8, 1), (9, 1)])
async def test_a_price_is_tried_again_though_an_earlier_head_waits(waits: int, tries: int) -> None:
    class Room(SimpleNamespace):
        tried = 0

        def scanned(self, *_: object) -> None:
            self.tried += 1
            busy._mail.put(look(number=waits))
            raise StaleError("not yet")

    room: Any = Room(deployment="aave_v3.test", skipped=lambda *_: None)
    busy = acting_among(room, Precedence())
    await busy._try_on(look("somebody", of_all=False, number=8))
    assert room.tried == tries

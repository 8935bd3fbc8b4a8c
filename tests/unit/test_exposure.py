"""What is spent and at stake, read while transactions end."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.core.chain import BlockRef
from keeper.core.errors import TransientError
from keeper.core.plan import Status
from keeper.core.standing import Spent
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.executor.door import Door
from keeper.executor.flight import Flight
from keeper.executor.standing import HOUR
from tests.support.ledger_records import HandClock, block, ended, opened, plan, submission
from tests.support.signed_plans import SIGNER, signed

PLAN = replace(plan(), transaction=replace(plan().transaction, sender=SIGNER.address))


@dataclass
class Settling:
    """A journal in whose reading the one intent ends, too late to be in what it tells."""

    flight: Flight
    reads: int = 0

    async def spent(self, **_: int) -> Spent:
        self.reads += 1
        if self.reads == 1:
            self.flight.landed(PLAN.id, ran=True)
        return Spent(hour=0, day=0, forced={})


def aloft() -> Flight:
    flight = Flight()
    flight.took_off(PLAN, signed(PLAN, 5))
    return flight


@dataclass
class Counting:
    """A node that tells next nonces, and remembers who asked for which."""

    asked: list[tuple[Address, BlockRef]] = field(default_factory=list)

    async def nonce(self, sender: Address, at: BlockRef) -> int:
        self.asked.append((sender, at))
        await asyncio.sleep(0)
        return at.number


def door_of(flight: Flight, journal: object, reader: object = None) -> Door:
    limits = SimpleNamespace(forced={})
    grounds: Any = SimpleNamespace(
        now=lambda: 1_000_000.0, limits=limits, share=None, reader=reader or Counting()
    )
    told: Any = journal
    return Door(grounds, journal=told, flight=flight, desks=None)


async def test_what_ends_while_what_was_spent_is_read_is_counted() -> None:
    flight = aloft()
    worst = flight.at_stake
    exposure = await door_of(flight, Settling(flight)).exposure(block(7))
    assert worst > 0
    assert (exposure.at_stake, exposure.staked) == (worst, {SIGNER.address: worst})
    assert exposure.in_flight == 0


async def test_what_ends_after_what_was_spent_was_read_is_counted() -> None:
    flight = aloft()
    worst = flight.at_stake
    exposure = await door_of(flight, Settling(flight, reads=1)).exposure(block(7))
    flight.landed(PLAN.id, ran=True)
    assert exposure.by_now(flight).at_stake == worst
    assert (await door_of(flight, Settling(flight, reads=1)).exposure(block(8))).at_stake == 0


async def test_what_was_spent_is_read_once_a_head_and_what_ended_since_is_counted() -> None:
    flight = aloft()
    worst, journal = flight.at_stake, Settling(flight, reads=1)
    door = door_of(flight, journal)
    before = await door.exposure(block(7))
    first = journal.reads
    flight.landed(PLAN.id, ran=True)
    after = await door.exposure(block(7))
    assert journal.reads == first
    assert (before.in_flight, after.in_flight) == (1, 0)
    assert before.at_stake == after.at_stake == worst
    assert (await door.exposure(block(8))).at_stake == 0
    assert journal.reads == 2 * first - 1


async def test_what_was_spent_and_is_at_stake_outlives_the_keeper(tmp_path: Path) -> None:
    clock, spent, open_ = HandClock(), plan(2), replace(PLAN, id="another")
    journal = await opened(tmp_path, clock=clock)
    for one, sent in ((spent, submission(spent, nonce=4)), (open_, signed(open_, 5))):
        await journal.seal([(one, sent)])
        await journal.record_all_sent([sent])
    await journal.settle(replace(ended(spent, Status.REVERTED, gas=70), block=101))
    await journal.close()

    clock.seconds += HOUR + 1
    again = await opened(tmp_path, clock=clock)
    flight = Flight(await again.open_intents())
    limits = SimpleNamespace(forced={})
    grounds: Any = SimpleNamespace(now=clock.now, limits=limits, share=None, reader=Counting())
    door = Door(grounds, journal=again, flight=flight, desks=None)
    exposure = await door.exposure(block(7))
    assert (exposure.spent_hour, exposure.spent_day) == (0, 70)
    assert exposure.at_stake == open_.gas_limit * open_.fees.max_fee
    assert exposure.busy == {(open_.ref.market, open_.ref.account)}
    await again.close()


async def test_what_was_spent_is_read_once_however_many_ask_at_the_same_time() -> None:
    journal = Settling(aloft(), reads=1)
    door = door_of(journal.flight, journal)
    one, other = await asyncio.gather(door.exposure(block(7)), door.exposure(block(7)))
    assert one == other
    assert journal.reads == 2


@dataclass
class Failing:
    """A journal that cannot tell at first."""

    fails: bool = True

    async def spent(self, **_: int) -> Spent:
        if self.fails:
            raise TransientError("not now")
        return Spent(hour=5, day=5, forced={})


async def test_a_reading_that_failed_is_made_again() -> None:
    journal = Failing()
    door = door_of(Flight(), journal)
    with pytest.raises(TransientError):
        await door.exposure(block(7))
    journal.fails = False
    assert (await door.exposure(block(7))).spent_day == 5


async def test_whoever_gives_up_waiting_takes_the_reading_from_nobody_else() -> None:
    door = door_of(Flight(), Failing(fails=False))
    hasty = asyncio.ensure_future(door.exposure(block(7)))
    patient = asyncio.ensure_future(door.exposure(block(7)))
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).spent_hour == 5


async def test_what_ran_is_read_along_with_it_and_asked_for_once_for_each_block() -> None:
    node, flight = Counting(), aloft()
    door = door_of(flight, Settling(flight, reads=1), node)
    await door.exposure(block(7))
    assert node.asked == [(SIGNER.address, block(7))]
    for at in (block(7), block(8), block(7), block(8)):
        assert await door.nonces(at, is_newest=True) == {SIGNER.address: at.number}
    assert node.asked == [(SIGNER.address, block(7)), (SIGNER.address, block(8))]
    for number in range(9, 13):
        await door.nonces(block(number), is_newest=True)
    await door.nonces(block(7), is_newest=True)  # forgotten by now, and read again
    assert node.asked[-1] == (SIGNER.address, block(7))


async def test_with_nothing_in_flight_no_nonce_is_read() -> None:
    node = Counting()
    await door_of(Flight(), Failing(fails=False), node).exposure(block(7))
    assert node.asked == []

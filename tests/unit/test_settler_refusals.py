"""A lane that refuses what is in a block already, while its end is entered in the books."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keeper.core.plan import Outcome, Status, Submission
from keeper.core.units import Hash32
from keeper.executor.backoff import Backoff
from keeper.executor.booking import Booking
from keeper.executor.desks import Desks
from keeper.executor.lanes.lane import Refused
from keeper.executor.nonce import NonceKeeper
from keeper.executor.signing import SigningDesk
from tests.support.settling_desk import CONFIRMATIONS, GAINED, Desk, desk_in
from tests.support.signed_plans import ONE, SIGNER


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def refuse(desk: Desk, sent: Submission) -> None:
    """Enter that the lane did not take it."""
    nonces = NonceKeeper(desk.wire, SIGNER.address, highest=5)
    signing = SigningDesk(chain_id=31337, signer=SIGNER, wire=desk.wire, nonces=nonces)
    booking = Booking(journal=desk.journal, flight=desk.flight, backoff=Backoff())
    await booking.book([(ONE, sent)], [Refused(why="no")], Desks([signing]))


async def test_what_landed_stays_landed_when_its_lane_refuses_it_as_that_is_entered(
    desk: Desk,
) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    entered, journal = list[Status](), desk.journal

    class Entering:
        """The journal, and a refusal that comes while an outcome is on its way to the disk."""

        def __getattr__(self, name: str) -> Any:
            return getattr(journal, name)

        async def settle(self, outcome: Outcome) -> None:
            await asyncio.gather(journal.settle(outcome), refuse(desk, sent))
            entered.append(outcome.status)

    settler = desk.settler = desk.made()
    settler._journal = Entering()  # type: ignore[assignment]
    (outcome,) = await desk.settle(101 + CONFIRMATIONS)
    assert entered == [outcome.status] == [Status.LANDED]
    assert [await journal.open_intents(), desk.flight.airborne] == [[], {}]


async def test_what_was_refused_while_its_receipt_was_asked_for_is_ended_once(desk: Desk) -> None:
    sent = await desk.send(ONE, 5)
    desk.wire.include(sent.tx_hash, 101, logs=[GAINED])
    read = desk.wire.receipt

    class Slow:
        """The node, and a refusal that comes before its receipt."""

        def __getattr__(self, name: str) -> Any:
            return getattr(desk.wire, name)

        async def receipt(self, tx_hash: Hash32) -> Any:
            await refuse(desk, sent)
            return await read(tx_hash)

    settler = desk.settler = desk.made()
    settler._wire = Slow()  # type: ignore[assignment]
    assert await desk.settle(101 + CONFIRMATIONS) == []
    assert [await desk.journal.open_intents(), desk.flight.airborne] == [[], {}]
    (settled,) = await desk.journal.unfinal()  # and is looked for on the chain until that is deep
    assert settled.outcome_status is Status.DROPPED

"""What follows once transactions that were signed ahead are out: books, answers, listeners."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from keeper.core.plan import Plan, Submission
from keeper.core.tick import Tick
from keeper.executor.executor import Executor
from keeper.executor.lanes.lane import Delivery, Lane, delivered, withheld


class Fired(Struct, frozen=True, kw_only=True):
    """A transaction that was written, or is about to be where its lane cannot at once."""

    plan: Plan
    submission: Submission
    answer: Awaitable[Delivery] | None
    """What became of it; None until its lane is asked."""
    tick: Tick


class _Batch(Struct, frozen=True, kw_only=True):
    """What one price brought, and its entry in the journal."""

    fired: tuple[Fired, ...]
    booked: Awaitable[None]


class Aftermath:
    """Books what was fired, price by price; what one waits for holds up no other."""

    def __init__(self, executor: Executor, lane: Lane) -> None:
        """Book by ``executor``; what is not written yet goes out by ``lane``."""
        self._executor = executor
        self._lane = lane
        self._mail: asyncio.Queue[_Batch | Exception] = asyncio.Queue()
        self._listeners: list[Callable[[Fired], None]] = []

    def on_fired(self, listener: Callable[[Fired], None]) -> None:
        """Have a listener hear of each transaction, once all of its price are written."""
        self._listeners.append(listener)

    def take(self, fired: Sequence[Fired], booked: Awaitable[None]) -> None:
        """Have ``run`` book what one price sent, once its entry in the journal is ``booked``."""
        self._mail.put_nowait(_Batch(fired=tuple(fired), booked=booked))

    def fail(self, fault: Exception) -> None:
        """Have ``run`` raise what befell a write, after all that was taken before."""
        self._mail.put_nowait(fault)

    async def run(self) -> None:
        """Enter in the books what was fired and what became of it, for ever.

        Raises what befell a write, such as InvariantError: what cannot be journaled is not sent.
        """
        async with asyncio.TaskGroup() as group:
            while not isinstance(batch := await self._mail.get(), Exception):
                await batch.booked
                self._tell(batch, is_late=False)
                group.create_task(self._answered(batch))  # they begin in this order
        raise batch

    async def _answered(self, batch: _Batch) -> None:
        """Enter in the books what became of what one price sent, once that is told."""
        deliveries = await self._delivered(batch.fired)
        self._tell(batch, is_late=True)
        submissions = [one.submission for one in batch.fired]
        await self._executor.book([one.plan for one in batch.fired], submissions, deliveries)

    async def _delivered(self, fired: Sequence[Fired]) -> list[Delivery]:
        """Return what became of each; what is not written yet is sent now, unless halted."""
        answers = [one.answer for one in fired]
        submissions = [one.submission for one in fired]
        if None in answers and (halted := self._executor.standing.halted) is not None:
            kept = withheld(submissions, halted)
            both = zip(answers, kept, strict=True)
            return [one if answer is None else await answer for answer, one in both]
        return await delivered(self._lane, submissions, answers)

    def _tell(self, batch: _Batch, *, is_late: bool) -> None:
        """Tell of what was written, or of what is written late: when, only its answer tells."""
        for one in batch.fired:
            if (one.answer is None) is is_late:
                if is_late:
                    one.tick.mark("send")
                for listen in self._listeners:
                    listen(one)

"""What every lane is: a way to the chain for transactions that are signed and on disk."""

import asyncio
from collections.abc import Awaitable, Hashable, Sequence
from typing import Final, Protocol
from weakref import WeakValueDictionary

from msgspec import Struct

from keeper.core.pending import Lead
from keeper.core.plan import Submission
from keeper.core.primed import Primed
from keeper.core.tick import Tick


class Refused(Struct, frozen=True, kw_only=True):
    """A definite no: the transaction is not in flight by this lane."""

    why: str


class Uncertain(Struct, frozen=True, kw_only=True):
    """Nobody said; it may be in flight, and is looked up by its hash later."""

    why: str


class Taken(Struct, frozen=True, kw_only=True):
    """The other side has it."""


Delivery = Taken | Refused | Uncertain

AT_ONCE: Final = 8
"""Requests to a relay at one time: it limits how many it takes, and says no to the others."""

UNTIED = Refused(why="this lane cannot send behind another's transaction")


class Rows:
    """Has requests about the same thing follow one another, in the order of their coming.

    Else what takes something back might overtake what is still on its way.
    """

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self._rows = WeakValueDictionary[Hashable, asyncio.Lock]()

    def of(self, key: Hashable) -> asyncio.Lock:
        """Return what to hold while something is asked; whoever holds it keeps it alive."""
        return self._rows.setdefault(key, asyncio.Lock())


class Lane(Protocol):
    """A way to the chain. A transaction never changes lanes."""

    @property
    def name(self) -> str:
        """Return the name under which the journal remembers what went out by it."""
        ...

    @property
    def public(self) -> bool:
        """Return whether the node that we read from sees what is pending here."""
        ...

    @property
    def expires(self) -> bool:
        """Return whether what was sent can no longer land once its target block is there."""
        ...

    async def send(
        self, submissions: Sequence[Submission], *, lead: bytes | None = None
    ) -> list[Delivery]:
        """Send journaled transactions, each once, in order; return what became of each.

        Behind ``lead``, a signed transaction of somebody else, they are refused where the lane
        cannot tie them to it.
        """
        ...

    def prime(self, submission: Submission) -> Primed[Delivery] | None:
        """Make a transaction ready to be written once it is journaled; None where it cannot be."""
        ...

    def post(self, submission: Submission) -> Awaitable[Delivery] | None:
        """Write a journaled transaction before returning, and return what becomes of it.

        None, with nothing written, where that cannot be: ``send`` it.
        """
        ...

    async def withdraw(self, submission: Submission) -> bool:
        """Take back what was sent; return whether it can no longer land after its target."""
        ...


async def delivered(
    lane: Lane, submissions: Sequence[Submission], posted: "Posted"
) -> list[Delivery]:
    """Return what became of each; what the lane could not write at once is sent now, in order."""
    late = [one for one, answer in zip(submissions, posted, strict=True) if answer is None]
    sent = iter(await lane.send(late) if late else ())
    return [await answer if answer is not None else next(sent) for answer in posted]


Posted = Sequence[Awaitable[Delivery] | None]
"""What becomes of transactions that are written; None of one that could not be at once."""


def posted(signed: Sequence[Submission], lane: Lane, lead: Lead | None, tick: Tick) -> Posted:
    """Write journaled transactions at once where that can be; ``tick`` is marked when all are."""
    found = [None if lead else lane.post(one) for one in signed]
    if None not in found:
        tick.mark("send")
    return found


async def sent(
    signed: Sequence[Submission], lane: Lane, lead: Lead | None, tick: Tick, posted: Posted
) -> list[Delivery]:
    """Send what is not written yet; return what became of each transaction."""
    if None not in posted:
        return await delivered(lane, signed, posted)
    if lead:
        deliveries = await lane.send(signed, lead=lead.raw)
    else:
        deliveries = await delivered(lane, signed, posted)
    tick.mark("send")  # nobody tells when it was written, but when it was answered
    return deliveries


def withheld(signed: Sequence[Submission], halted: str) -> list[Delivery]:
    """Return what became of transactions that were not sent, for a halt came after all."""
    return [Refused(why=f"nothing is sent: {halted}")] * len(signed)

"""Send Flashbots-style bundles to several builders at once, for one target block at a time.

The transactions of a batch follow each other in nonce, so they go as one bundle. None of it may
revert: a bundle that misses or loses costs nothing. It is for one block only; for the next it is
sent again, with what was learned since, under the same replacement UUID.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from keeper.core.errors import RefusedError, TransientError
from keeper.core.plan import Purpose, Submission
from keeper.core.ports import PrivateRelay
from keeper.core.primed import Primed
from keeper.core.text import printable
from keeper.executor.lanes.lane import AT_ONCE, Delivery, Refused, Rows, Taken, Uncertain

log = structlog.get_logger()

BUNDLE_PROBLEM = "bundle.problem"

MOST_TRANSACTIONS = 100
MOST_BYTES = 300_000
"""What the relay's documentation allows in one bundle."""

_CALL = {"method": "eth_callBundle"}
_NAMESPACE = uuid.UUID("6b656570-6572-4275-8e64-6c6500000000")


class BundleLane:
    """Sends bundles to every builder of the lane."""

    public = False
    expires = True

    def __init__(
        self,
        relays: Sequence[PrivateRelay],
        *,
        name: str,
        halted: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Make a lane to these builders.

        ``halted`` tells why nothing is sent: what is not with a builder by then, be it that one
        still runs it, is offered no more, but what cancels.
        """
        self.name = name
        self._halted = halted
        self._relays = relays
        self._turns = [asyncio.Semaphore(AT_ONCE) for _ in relays]
        """Each relay's own; it lets requests through in the order of their coming."""
        self._rows = [Rows() for _ in relays]
        """Each relay's own, with one for each replacement UUID."""

    async def send(
        self, submissions: Sequence[Submission], *, lead: bytes | None = None
    ) -> list[Delivery]:
        """Send a row of transactions as one bundle; a longer one than is allowed as several.

        Behind a ``lead`` goes one bundle, which a builder has run before: what does not fit is
        refused.
        """
        parts = _parts(submissions, lead)
        if lead is None:
            deliveries: list[Delivery] = []
            for part in parts:
                deliveries += [await self._offer(part, None)] * len(part)
            return deliveries
        why = await self._run_before(parts[0], lead)
        first = Refused(why=why) if why else await self._offer(parts[0], lead)
        rest = Refused(why="it does not fit into the bundle behind the pending transaction")
        return [first] * len(parts[0]) + [rest] * (len(submissions) - len(parts[0]))

    def prime(self, submission: Submission) -> Primed[Delivery] | None:  # noqa: ARG002 - the port's
        """Return None: a relay is asked over HTTP."""
        return None

    def post(self, submission: Submission) -> Awaitable[Delivery] | None:  # noqa: ARG002 - the port's
        """Return None: a relay is asked over HTTP."""
        return None

    async def withdraw(self, submission: Submission) -> bool:
        """Cancel the bundle at every builder; return whether all of them said that it is gone."""
        wanted = {"replacementUuid": replacement_uuid(submission)}
        answers = await self._ask_all("eth_cancelBundle", wanted)
        return all(isinstance(one, Taken) for one in answers)

    async def _run_before(self, part: Sequence[Submission], lead: bytes) -> str:
        """Return why a bundle would fail, as every builder says that runs it; else nothing.

        The first that runs it well is enough, and none is waited for that does not answer then.
        """
        wanted = {
            "txs": _raws(part, lead),
            "blockNumber": hex(part[0].target_block),
            "stateBlockNumber": "latest",
        }
        told: list[str] = []
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(_run_at(one, wanted)) for one in self._relays]
            for answer in asyncio.as_completed(running):
                if (why := await answer) is not None:
                    told.append(why)
                if why == "":
                    break
            for one in running:
                one.cancel()
        return min(told, default="")  # nothing is the least of all words

    async def _offer(self, part: Sequence[Submission], lead: bytes | None) -> Delivery:
        """Send one bundle to all builders; one that takes it is enough."""
        wanted = {
            "txs": _raws(part, lead),
            "blockNumber": hex(part[0].target_block),
            "replacementUuid": replacement_uuid(part[0]),
        }
        answers = await self._ask_all("eth_sendBundle", wanted, lambda: self._barred(part))
        for kind in (Taken, Uncertain):
            found = next((one for one in answers if isinstance(one, kind)), None)
            if found is not None:
                return found
        return answers[0]

    def _barred(self, part: Sequence[Submission]) -> str | None:
        """Return why a bundle is not offered now, None when it may be: what cancels always may."""
        is_cancelling = all(one.purpose is Purpose.CANCEL for one in part)
        return None if is_cancelling else self._halted()

    async def _ask_all(
        self,
        method: str,
        wanted: Mapping[str, object],
        barred: Callable[[], str | None] = lambda: None,
    ) -> list[Delivery]:
        """Ask every builder once it is its turn, unless it is ``barred`` by then, with why."""
        uuid_ = wanted["replacementUuid"]
        rows = [one.of(uuid_) for one in self._rows]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_ask(one, (row, turn), method, wanted, barred))
                for one, row, turn in zip(self._relays, rows, self._turns, strict=True)
            ]
        return [task.result() for task in tasks]


async def _run_at(relay: PrivateRelay, wanted: Mapping[str, object]) -> str | None:
    """Return why a bundle fails at a builder, nothing where it does not; None if it is not told."""
    try:
        return _failure(await relay.ask("eth_callBundle", wanted))
    except (RefusedError, TransientError) as error:
        log.warning(BUNDLE_PROBLEM, relay=relay.name, problem=str(error), **_CALL)
        return None


def replacement_uuid(submission: Submission) -> str:
    """Return the UUID under which every bundle of an intent goes."""
    return str(uuid.uuid5(_NAMESPACE, submission.plan_id))


async def _ask(
    relay: PrivateRelay,
    when: tuple[asyncio.Lock, asyncio.Semaphore],
    method: str,
    wanted: Mapping[str, object],
    barred: Callable[[], str | None],
) -> Delivery:
    try:
        async with when[0], when[1]:
            if (why := barred()) is not None:
                return Refused(why=f"nothing is sent: {why}")
            await relay.ask(method, wanted)
    except RefusedError as error:
        log.warning(BUNDLE_PROBLEM, relay=relay.name, method=method, problem=str(error))
        return Refused(why=str(error))
    except TransientError as error:
        log.warning(BUNDLE_PROBLEM, relay=relay.name, method=method, problem=str(error))
        return Uncertain(why=str(error))
    return Taken()


def _raws(part: Sequence[Submission], lead: bytes | None) -> list[str]:
    ahead = [] if lead is None else [lead]
    return ["0x" + one.hex() for one in (*ahead, *(submission.raw for submission in part))]


def _failure(answer: object) -> str:
    """Return what an answer to ``eth_callBundle`` says of a transaction that failed."""
    results = answer.get("results") if isinstance(answer, Mapping) else None
    for one in results if isinstance(results, list) else ():
        if isinstance(one, Mapping) and ("error" in one or "revert" in one):
            said = printable(str(one.get("revert") or one.get("error")))
            return f"the builder ran the bundle and it failed: {said}"
    return ""


def _parts(submissions: Sequence[Submission], lead: bytes | None) -> list[list[Submission]]:
    """Split a row of transactions so that each part fits in a bundle, the first with ``lead``."""
    parts: list[list[Submission]] = []
    size = 0 if lead is None else len(lead)
    room = MOST_TRANSACTIONS - (lead is not None)
    for one in submissions:
        if not parts or len(parts[-1]) == room or size + len(one.raw) > MOST_BYTES:
            size = size if not parts else 0
            parts.append([])
        parts[-1].append(one)
        size += len(one.raw)
    return parts

"""Send Flashbots-style bundles to several builders at once, for one target block at a time.

The transactions of a batch follow each other in nonce, so they go as one bundle. None of it may
revert: a bundle that misses or loses costs nothing. It is for one block only; for the next it is
sent again, with what was learned since, under the same replacement UUID.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Mapping, Sequence

import structlog

from keeper.core.errors import RefusedError, TransientError
from keeper.core.plan import Submission
from keeper.core.ports import PrivateRelay
from keeper.executor.lanes.lane import Delivery, Refused, Taken, Uncertain

log = structlog.get_logger()

BUNDLE_PROBLEM = "bundle.problem"

MOST_TRANSACTIONS = 100
MOST_BYTES = 300_000
"""What the relay's documentation allows in one bundle."""

_NAMESPACE = uuid.UUID("6b656570-6572-4275-8e64-6c6500000000")


class BundleLane:
    """Sends bundles to every builder of the lane."""

    public = False
    expires = True

    def __init__(self, relays: Sequence[PrivateRelay], *, name: str) -> None:
        """Make a lane to these builders."""
        self.name = name
        self._relays = relays

    async def send(self, submissions: Sequence[Submission]) -> list[Delivery]:
        """Send a row of transactions as one bundle; a longer one than is allowed as several."""
        deliveries: list[Delivery] = []
        for part in _parts(submissions):
            delivery = await self._offer(part)
            deliveries += [delivery] * len(part)
        return deliveries

    def post(self, submission: Submission, *, dry: bool) -> Awaitable[Delivery] | None:  # noqa: ARG002
        """Return None: a relay is asked over HTTP."""
        return None

    async def withdraw(self, submission: Submission) -> bool:
        """Cancel the bundle at every builder; return whether all of them said that it is gone."""
        wanted = {"replacementUuid": replacement_uuid(submission)}
        answers = await self._ask_all("eth_cancelBundle", wanted)
        return all(isinstance(one, Taken) for one in answers)

    async def _offer(self, part: Sequence[Submission]) -> Delivery:
        """Send one bundle to all builders; one that takes it is enough."""
        wanted = {
            "txs": ["0x" + one.raw.hex() for one in part],
            "blockNumber": hex(part[0].target_block),
            "replacementUuid": replacement_uuid(part[0]),
        }
        answers = await self._ask_all("eth_sendBundle", wanted)
        for kind in (Taken, Uncertain):
            found = next((one for one in answers if isinstance(one, kind)), None)
            if found is not None:
                return found
        return answers[0]

    async def _ask_all(self, method: str, wanted: Mapping[str, object]) -> list[Delivery]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_ask(one, method, wanted)) for one in self._relays]
        return [task.result() for task in tasks]


def replacement_uuid(submission: Submission) -> str:
    """Return the UUID under which every bundle of an intent goes."""
    return str(uuid.uuid5(_NAMESPACE, submission.plan_id))


async def _ask(relay: PrivateRelay, method: str, wanted: Mapping[str, object]) -> Delivery:
    try:
        await relay.ask(method, wanted)
    except RefusedError as error:
        log.warning(BUNDLE_PROBLEM, relay=relay.name, method=method, problem=str(error))
        return Refused(why=str(error))
    except TransientError as error:
        log.warning(BUNDLE_PROBLEM, relay=relay.name, method=method, problem=str(error))
        return Uncertain(why=str(error))
    return Taken()


def _parts(submissions: Sequence[Submission]) -> list[list[Submission]]:
    """Split a row of transactions so that each part fits in a bundle."""
    parts: list[list[Submission]] = []
    size = 0
    for one in submissions:
        full = not parts or len(parts[-1]) == MOST_TRANSACTIONS or size + len(one.raw) > MOST_BYTES
        if full:
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += len(one.raw)
    return parts

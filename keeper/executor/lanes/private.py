"""Send to a private RPC: ``eth_sendPrivateTransaction``. The public pool never sees it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from keeper.core.errors import RefusedError, TransientError
from keeper.core.plan import Purpose, Submission
from keeper.core.ports import PrivateRelay
from keeper.core.primed import Primed
from keeper.executor.lanes.lane import AT_ONCE, UNTIED, Delivery, Refused, Rows, Taken, Uncertain


class PrivateLane:
    """Sends each transaction to one relay, which holds it for a number of blocks."""

    public = False
    expires = False

    def __init__(
        self,
        relay: PrivateRelay,
        *,
        name: str,
        blocks: int,
        halted: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Make a lane; ``blocks`` past its target a transaction is no longer tried.

        ``halted`` tells why nothing is sent: what waits for its turn then does not go out, but to
        cancel.
        """
        self.name = name
        self._halted = halted
        self._relay = relay
        self._blocks = blocks
        self._turns = asyncio.Semaphore(AT_ONCE)
        """It lets requests through in the order of their coming."""
        self._rows = Rows()
        """One for each nonce."""

    async def send(
        self, submissions: Sequence[Submission], *, lead: bytes | None = None
    ) -> list[Delivery]:
        """Send each once, in order, some of them without waiting for the answers before."""
        if lead is not None:
            return [UNTIED] * len(submissions)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._deliver(one)) for one in submissions]
        return [task.result() for task in tasks]

    def prime(self, submission: Submission) -> Primed[Delivery] | None:  # noqa: ARG002 - the port's
        """Return None: a relay is asked over HTTP."""
        return None

    def post(self, submission: Submission) -> Awaitable[Delivery] | None:  # noqa: ARG002 - the port's
        """Return None: a relay is asked over HTTP."""
        return None

    async def withdraw(self, submission: Submission) -> bool:
        """Ask the relay to forget a transaction; return whether it said that it did."""
        try:
            wanted = {"txHash": submission.tx_hash}
            return bool(await self._take_back(submission, wanted))
        except (RefusedError, TransientError):
            return False

    async def _take_back(self, submission: Submission, wanted: Mapping[str, object]) -> object:
        async with self._row(submission), self._turns:
            return await self._relay.ask("eth_cancelPrivateTransaction", wanted)

    def _row(self, submission: Submission) -> asyncio.Lock:
        return self._rows.of((submission.sender, submission.nonce))

    async def _send_in_turn(self, submission: Submission, wanted: Mapping[str, object]) -> None:
        async with self._row(submission), self._turns:
            halted = self._halted()
            if halted is not None and submission.purpose is not Purpose.CANCEL:
                raise RefusedError(f"nothing is sent: {halted}")
            await self._relay.ask("eth_sendPrivateTransaction", wanted)

    async def _deliver(self, submission: Submission) -> Delivery:
        wanted = {
            "tx": "0x" + submission.raw.hex(),
            "maxBlockNumber": hex(submission.target_block + self._blocks - 1),
            "preferences": {"fast": True},
        }
        try:
            await self._send_in_turn(submission, wanted)
        except RefusedError as error:
            return Refused(why=str(error))
        except TransientError as error:
            return Uncertain(why=str(error))
        return Taken()

"""What sending asks of a key, of the journal and of a relay."""

from collections.abc import Awaitable, Collection, Sequence
from typing import Protocol

from keeper.core.chain import Fees, Transaction
from keeper.core.lending import Rejection
from keeper.core.plan import Intent, Outcome, Plan, Settled, Status, Submission
from keeper.core.standing import Spent, StandingRow, Tally
from keeper.core.units import Address, Hash32


class Signer(Protocol):
    """Holds a key. It signs only what it is handed, for the chain it was made for."""

    @property
    def address(self) -> Address:
        """Return the sender's address."""
        ...

    @property
    def is_instant(self) -> bool:
        """Return whether ``sign`` can be asked: the key is in this process."""
        ...

    def sign(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        """Return the signed type-2 transaction and its hash.

        Raises InvariantError unless ``is_instant``.
        """
        ...

    async def sign_soon(
        self, transaction: Transaction, *, nonce: int, gas_limit: int, fees: Fees
    ) -> tuple[bytes, Hash32]:
        """Return the signed type-2 transaction and its hash, after asking whoever has the key.

        Raises RefusedError when it will not, or answers anything but this transaction's signature;
        TransientError when it does not answer.
        """
        ...


class Journal(Protocol):
    """The write-ahead journal. Each method returns when the record is on disk."""

    async def intend(self, plan: Plan) -> None:
        """Record that the plan will be carried out."""
        ...

    async def record_signed(self, submission: Submission) -> None:
        """Record a signed transaction before it is sent."""
        ...

    async def seal(self, signed: Sequence[tuple[Plan, Submission]]) -> None:
        """Record plans with their signed transactions, all of them or none, before any is sent."""
        ...

    async def retarget(self, submission: Submission) -> None:
        """Record the block that a recorded transaction is offered for next, before it is."""
        ...

    async def record_sent(self, submission: Submission) -> None:
        """Record that the node took the transaction."""
        ...

    async def record_all_sent(self, submissions: Sequence[Submission]) -> None:
        """Record that the node took each of the transactions; some may have landed meanwhile."""
        ...

    async def arm(self, signed: Sequence[tuple[Plan, Submission]]) -> None:
        """Record plans with transactions signed ahead, all or none, before any may be sent."""
        ...

    async def disarm(self, plan_ids: Collection[str]) -> None:
        """Forget armed plans that are void; one that was fired is left alone."""
        ...

    def launch(self, signed: Sequence[tuple[Plan, Submission]]) -> Awaitable[None]:
        """Make armed plans open intents, as they are now: their transactions go out.

        Nothing that is recorded later comes before it, whenever the result is awaited.
        """
        ...

    async def armed(self) -> list[Intent]:
        """Return what is armed: after a start, what an earlier run left, with all of its notes."""
        ...

    async def keep_notes(self) -> None:
        """Put what an earlier run noted with what it armed, and empty the notes."""
        ...

    def note(self, submission: Submission, *, dry: bool = False) -> None:
        """Write a transaction of an armed plan, signed anew, where a killed process leaves it.

        It is with the operating system when this returns, and on disk soon after ``fired``. A dry
        run does all but the write.
        """
        ...

    def fired(self, submissions: Sequence[Submission]) -> Awaitable[None]:
        """Make armed plans open intents: these transactions of theirs are out.

        Nothing that is recorded later comes before it, whenever the result is awaited.
        """
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Record how the intent ended and enter it in the books."""
        ...

    async def revise(self, outcome: Outcome) -> None:
        """Correct an outcome in the books: a reorg changed how the intent ended."""
        ...

    async def reopen(self, plan_id: str) -> Status | None:
        """Take an outcome out of the books, its block being gone; return how it is open again.

        It is undone where another intent has its account by now. None, with nothing done, when
        another has its nonce.
        """
        ...

    async def unfinal(self) -> list[Settled]:
        """Return the intents with transactions whose end a reorg may still undo."""
        ...

    async def finish(self, plan_ids: Sequence[str]) -> None:
        """Record that no reorg undoes the end of these intents any more."""
        ...

    async def halt(self, why: str) -> None:
        """Record that nothing more is sent until a person allows it."""
        ...

    async def standing(self) -> StandingRow:
        """Return whether sending is halted."""
        ...

    async def tally(self, *, day: int, hour: int) -> Tally:
        """Return what outcomes cost since the start of a day and of an hour, unix seconds."""
        ...

    async def reject(self, deployment: str, rejection: Rejection) -> None:
        """Record why an opportunity was not taken."""
        ...

    async def tried(self, plans: Sequence[Plan]) -> frozenset[str]:
        """Return the ids of the plans that were more than shown, in this run or an earlier one."""
        ...

    async def signed_with(self, sender: Address, nonce: int) -> list[Hash32]:
        """Return every transaction that we signed with a nonce, of whatever became of it."""
        ...

    async def open_intents(self) -> list[Intent]:
        """Return every intent without an outcome, oldest first."""
        ...

    async def spent(self, *, hour: int, day: int) -> Spent:
        """Return what outcomes took since the start of an hour and of a day, unix seconds."""
        ...


class PrivateRelay(Protocol):
    """A relay or builder that takes transactions out of the public's sight."""

    @property
    def name(self) -> str:
        """Return what it may be called in messages."""
        ...

    async def ask(self, method: str, *params: object) -> object:
        """Ask once. Raises RefusedError on a no, TransientError when it is not known."""
        ...

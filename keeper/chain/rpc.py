"""Questions to a node, asked again when the answer could not be had: the only place of retries."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Never, TypeVar

import msgspec
import tenacity
from msgspec import Struct

from keeper.chain.classify import Meaning, meaning, wished_wait_s
from keeper.chain.errors import NodeRefusedError, OversizedError, RateLimitedError
from keeper.chain.jsonrpc import UNREADABLE, NodeError, Reply, Request
from keeper.chain.transport import Transport
from keeper.core.errors import StaleError, TransientError
from keeper.core.primed import Primed
from keeper.runtime.clock import Clock

T = TypeVar("T")

_SHOWN_CHARACTERS = 300


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How long to insist. Waits double from the first to the longest, with full jitter."""

    timeout_s: float = 10.0
    """How long one attempt may take."""
    budget_s: float = 15.0
    """How long all attempts of one question and the waits between them may take."""
    first_wait_s: float = 0.05
    longest_wait_s: float = 2.0


class Rpc:
    """Asks one node. Reads are retried within the budget; sends never are."""

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        policy: RetryPolicy | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._policy = policy or RetryPolicy()
        self._jitter = jitter

    @property
    def name(self) -> str:
        """Return what the node may be called in messages."""
        return self._transport.name

    async def ask(self, method: str, *params: object, budget_s: float | None = None) -> Reply:
        """Return the node's result or error; an error of which asking again may cure is retried.

        Raises TransientError when the budget is spent.
        """
        request = Request(method=method, params=params)

        async def attempt() -> Reply:
            reply = await self._transport.request(request, timeout_s=self._policy.timeout_s)
            self._raise_passing(method, reply)
            return reply

        return await self._persist(attempt, budget_s)

    async def ask_many(
        self, requests: Sequence[Request], *, budget_s: float | None = None
    ) -> list[Reply]:
        """Return the result or error of each request, asked in one batch."""

        async def attempt() -> list[Reply]:
            timeout_s = self._policy.timeout_s
            replies = await self._transport.batch(requests, timeout_s=timeout_s)
            for request, reply in zip(requests, replies, strict=True):
                self._raise_passing(request.method, reply)
            return replies

        return await self._persist(attempt, budget_s)

    async def read(
        self, kind: type[T], method: str, *params: object, budget_s: float | None = None
    ) -> T:
        """Return the decoded result; raise StaleError or NodeRefusedError on an error reply."""
        reply = await self.ask(method, *params, budget_s=budget_s)
        return self.decode(kind, method, reply)

    async def read_optional(
        self, kind: type[T], method: str, *params: object, budget_s: float | None = None
    ) -> T | None:
        """Return the decoded result, or None where the node has nothing; raise as ``read``."""
        found = await self.read(msgspec.Raw, method, *params, budget_s=budget_s)
        return None if bytes(found) == b"null" else self.decode(kind, method, found)

    def prime(self, method: str, *params: object) -> Primed[Reply] | None:
        """Make a question ready that is asked exactly once; None if it cannot be."""
        return self._transport.prime(Request(method=method, params=params))

    async def within(self, asked: Awaitable[Reply], method: str) -> Reply:
        """Wait for the reply to what was posted, as long as for one attempt."""
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                return await asked
        except TimeoutError as e:
            msg = f"{self.name}: {method}: expected a reply in {self._policy.timeout_s:g} s"
            raise TransientError(f"{msg}, found none") from e

    async def send_once(self, method: str, *params: object) -> Reply:
        """Ask exactly once. After a TransientError nobody knows whether the node acted."""
        request = Request(method=method, params=params)
        return await self._transport.request(request, timeout_s=self._policy.timeout_s)

    def decode(self, kind: type[T], method: str, reply: Reply) -> T:
        """Return a reply as ``kind``; raise for an error reply or one of another shape."""
        if isinstance(reply, NodeError):
            self.raise_error(method, reply)
        try:
            return msgspec.json.decode(reply, type=kind)
        except UNREADABLE as e:
            msg = f"{self.name}: {method}: expected the result of the specification, found {e}"
            raise TransientError(msg) from e

    def raise_error(self, method: str, error: NodeError) -> Never:
        """Raise the class whose remedy fits an error reply."""
        refusal = self.refusal(method, error)
        if meaning(method, error) is Meaning.STALE:
            raise StaleError(str(refusal))
        raise refusal

    def refusal(self, method: str, error: NodeError) -> NodeRefusedError:
        """Return the refusal that an error reply is."""
        said = " ".join(error.message.split())[:_SHOWN_CHARACTERS]
        msg = f"{self.name}: {method}: expected a result, found error {error.code}: {said}"
        return NodeRefusedError(msg, code=error.code, reason=said, data=error.data)

    def _raise_passing(self, method: str, reply: Reply) -> None:
        if not isinstance(reply, NodeError):
            return
        kind = meaning(method, reply)
        msg = f"{self.name}: {method}: error {reply.code}: {reply.message}"
        if kind is Meaning.LIMITED:
            raise RateLimitedError(msg, wished_wait_s(reply.data))
        if kind is Meaning.BUSY:
            raise TransientError(msg)

    async def _persist(self, attempt: Callable[[], Awaitable[T]], budget_s: float | None) -> T:
        started = self._clock.monotonic()
        try:
            return await attempt()  # nearly always enough, and tenacity is slow to set up
        except OversizedError:
            raise  # the same question has the same answer
        except TransientError as e:
            failed = e
        return await self._insist(attempt, failed, started, budget_s)

    async def _insist(
        self,
        attempt: Callable[[], Awaitable[T]],
        failed: TransientError,
        started: float,
        budget_s: float | None,
    ) -> T:
        budget = self._policy.budget_s if budget_s is None else budget_s
        waiting: list[TransientError] = [failed]

        async def next_attempt() -> T:
            if waiting:
                raise waiting.pop()
            return await attempt()

        def spent(state: tenacity.RetryCallState) -> bool:
            return self._clock.monotonic() - started + state.upcoming_sleep > budget

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=self._wait_s,
            stop=spent,
            sleep=self._clock.sleep,
            reraise=True,
        )
        return await retrying(next_attempt)

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        policy = self._policy
        doubled: float = policy.first_wait_s * 2 ** (state.attempt_number - 1)
        ceiling = min(doubled, policy.longest_wait_s)
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, RateLimitedError) and error.retry_after_s is not None:
            return error.retry_after_s + ceiling * self._jitter()
        return ceiling * self._jitter()

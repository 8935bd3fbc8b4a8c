"""JSON-RPC over a message socket: many requests in flight, replies matched by id."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from keeper.chain.bounded import MOST_BYTES, oversized
from keeper.chain.errors import OversizedError, SlowError
from keeper.chain.jsonrpc import (
    UNREADABLE,
    Message,
    NodeError,
    Notification,
    Reply,
    Request,
    decode_message,
    decode_push,
    encode_batch,
    encode_request,
    not_json_rpc,
    wrong_id,
)
from keeper.chain.sockets import Connect, MessageSocket
from keeper.core.errors import TransientError
from keeper.core.primed import Primed

Notify = Callable[[Notification, int], None]
"""Takes a notification, and when its bytes came (``perf_counter_ns``)."""

Glance = Callable[[bytes, int], None]
"""Takes any message before it is decoded, and when it came."""


class DuplexTransport:
    """Talks to a node through one socket, opened when first needed and again after a loss."""

    def __init__(
        self,
        name: str,
        connect: Connect,
        *,
        notify: Notify | None = None,
        glance: Glance | None = None,
        lost: Callable[[str], None] | None = None,
    ) -> None:
        self._name = name
        self._connect = connect
        self._notify = notify
        self._glance = glance
        self._tell_lost = lost
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None

    @property
    def name(self) -> str:
        """Return scheme and host, or the path of the socket."""
        return self._name

    async def request(self, request: Request, *, timeout_s: float) -> Reply:
        """Send one request and wait for the reply of the same id."""
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connected()
                return await connection.ask(request)
        except TimeoutError as e:
            raise self._no_reply(timeout_s) from e

    def prime(self, request: Request) -> Primed[Reply] | None:
        """Make one request ready for the socket that is open; None without one."""
        connection = self._connection
        return connection.prime(request) if connection is not None and connection.open else None

    def drill(self, message: bytes) -> None:
        """Take a message of our own as if the node had pushed it; nothing where none could come."""
        connection = self._connection
        if connection is not None and connection.open and connection.socket is not None:
            connection.socket.drill(message)

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:
        """Send one JSON array of requests and wait for the reply to each."""
        if not requests:
            return []
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connected()
                return await connection.ask_many(requests)
        except TimeoutError as e:
            raise self._no_reply(timeout_s) from e

    async def close(self) -> None:
        """Close the socket; the next request would open another."""
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self) -> "_Connection":
        if self._connection is not None and self._connection.open:
            return self._connection
        async with self._connecting:
            if self._connection is None or not self._connection.open:
                connection = _Connection(self._name, self._notify, self._glance, self._tell_lost)
                connection.socket = await self._connect(connection)
                self._connection = connection
        return self._connection

    def _no_reply(self, timeout_s: float) -> SlowError:
        return SlowError(f"{self._name}: expected a reply within {timeout_s:g} s, found none")


class _Connection:
    """One socket's life: the listener of its messages and the requests that wait."""

    def __init__(
        self,
        name: str,
        notify: Notify | None,
        glance: Glance | None,
        tell_lost: Callable[[str], None] | None,
    ) -> None:
        self.socket: MessageSocket | None = None
        self.open = True
        self.arrived_ns = 0
        self._name = name
        self._notify = notify
        self._glance = glance
        self._tell_lost = tell_lost
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._sends: set[int] = set()
        """Those that wait for what became of a transaction."""
        self._next_id = 1

    async def ask(self, request: Request) -> Reply:
        (number,), (future,) = self._expect(1)
        if request.is_send:
            self._sends.add(number)
        try:
            await self._send(encode_request(request, number))
            return await future
        finally:
            self._forget(number)

    def prime(self, request: Request) -> Primed[Reply] | None:
        """Keep a number for a request, and make its frame."""
        if self.socket is None:
            return None
        number, self._next_id = self._next_id, self._next_id + 1
        frame, write = self.socket.frame(encode_request(request, number)), self.socket.write
        return Primed(
            write=lambda: self.open and write(frame),
            touch=lambda: self.open and write(b""),
            answer=lambda: self._expect_one(number, request),
        )

    def _expect_one(self, number: int, request: Request) -> "asyncio.Future[Reply]":
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        if request.is_send:
            self._sends.add(number)
        future.add_done_callback(lambda _: self._forget(number))
        return future

    async def ask_many(self, requests: Sequence[Request]) -> list[Reply]:
        numbers, futures = self._expect(len(requests))
        try:
            await self._send(encode_batch(requests, numbers[0]))
            await asyncio.wait(futures)
            # Look at every future first: asyncio complains of an error that nobody looked at.
            for error in [future.exception() for future in futures]:
                if error is not None:
                    raise error
            return [future.result() for future in futures]
        finally:
            for number in numbers:
                self._forget(number)

    async def close(self) -> None:
        self._fail(f"{self._name}: expected a connection, found it closed by us")
        if self.socket is not None:
            await self.socket.close()

    def received(self, message: bytes) -> None:
        if self._glance is not None:
            self._glance(message, self.arrived_ns)
        if self._notify is not None and (told := decode_push(message)) is not None:
            self._notify(told, self.arrived_ns)
            return
        try:
            if message.lstrip()[:1] == b"[":
                for one in msgspec.json.decode(message, type=list[Message]):
                    self._take(one)
            else:
                self._take(decode_message(message, self._name))
        except UNREADABLE as e:
            self._give_up(f"{self._name}: expected a JSON-RPC batch, found {e}")
        except TransientError as e:
            self._give_up(str(e))

    def lost(self, reason: str) -> None:
        if self.open and self._tell_lost is not None:
            self._tell_lost(reason)
        self._fail(f"{self._name}: expected a reply, found that {reason}")

    def oversized(self) -> None:
        self._give_up(str(oversized(self._name, MOST_BYTES)), OversizedError)

    def _expect(self, count: int) -> tuple[range, list[asyncio.Future[Reply]]]:
        loop = asyncio.get_running_loop()
        numbers = range(self._next_id, self._next_id + count)
        self._next_id += count
        futures: list[asyncio.Future[Reply]] = [loop.create_future() for _ in numbers]
        self._waiting.update(zip(numbers, futures, strict=True))
        return numbers, futures

    async def _send(self, message: bytes) -> None:
        if self.socket is None or not self.open:
            raise TransientError(f"{self._name}: expected a connection, found it closed")
        await self.socket.send(message)

    def _take(self, message: Message) -> None:
        if message.method:
            if self._notify is not None:  # then it is not of the shape of a push
                raise not_json_rpc(message.method.encode(), self._name)
            return
        if message.id is None and message.error is not None:
            self._take_unnamed(message.error)
            return
        if not isinstance(message.id, int) or not 0 < message.id < self._next_id:
            waiting = next(iter(self._waiting), self._next_id)
            raise wrong_id(self._name, waiting, message.id)
        asked = self._waiting.get(message.id)
        if asked is not None:  # else nobody waits any more: the answer came too late
            _resolve(asked, message.reply(self._name))

    def _take_unnamed(self, error: NodeError) -> None:
        """Take an error of a request whose id the node could not read: any of those that wait.

        To a send it is no answer, for the node may have taken that one.
        """
        for number, future in list(self._waiting.items()):
            if number not in self._sends:
                _resolve(future, error)
            elif not future.done():
                msg = f"{self._name}: expected a reply, found one to no request: {error.message}"
                future.set_exception(TransientError(msg))

    def _forget(self, number: int) -> None:
        future = self._waiting.pop(number, None)
        if future is not None and future.done() and not future.cancelled():
            future.exception()  # asyncio complains of an error that nobody looked at
        self._sends.discard(number)

    def _give_up(self, reason: str, kind: type[TransientError] = TransientError) -> None:
        """Treat a stream that cannot be trusted as lost; the socket closes when it notices."""
        if self.open and self._tell_lost is not None:
            self._tell_lost(reason)
        self._fail(reason, kind)
        if self.socket is not None:
            self.socket.abort()

    def _fail(self, reason: str, kind: type[TransientError] = TransientError) -> None:
        self.open = False
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(kind(reason))


def _resolve(future: asyncio.Future[Reply], reply: Reply) -> None:
    if not future.done():
        future.set_result(reply)

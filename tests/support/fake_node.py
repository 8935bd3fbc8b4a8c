"""A node that says what it is told to, and misbehaves on request: HTTP and WebSocket."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A JSON-RPC error, as an answer."""

    code: int
    message: str
    data: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """An HTTP answer, or a WebSocket message, as it stands."""

    body: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Drop:
    """The connection closes without an answer."""


class Stall:
    """Nothing is answered, and the connection stays open."""


class WrongId:
    """The answer names another request."""


Fault = Raw | Drop | Stall | WrongId | Refusal
Answer = Callable[[list[Any]], Any]

HTML = Raw(body="<html><body>502 Bad Gateway</body></html>")
CUT_JSON = Raw(body='{"jsonrpc":"2.0","id":1,"result":"0x')
EMPTY = Raw(body="")


class FakeNode:
    """Answers by method; each waiting fault spoils one message, a batch being one."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {"eth_chainId": lambda _: "0x1"}
        self.faults: deque[Fault] = deque()
        self.asked: list[tuple[str, list[Any]]] = []
        self.url = ""
        self.sockets: list[web.WebSocketResponse] = []
        self.connections = 0
        self.subscribed: list[list[Any]] = []
        self._released = asyncio.Event()

    @property
    def ws_url(self) -> str:
        return self.url.replace("http://", "ws://")

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    async def push(self, subscription: str, result: object) -> None:
        """Notify every open socket."""
        params = {"subscription": subscription, "result": result}
        message = {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}
        for socket in self.sockets:
            await socket.send_str(json.dumps(message))

    async def drop_sockets(self) -> None:
        for socket in tuple(self.sockets):
            await socket.close()

    def release(self) -> None:
        """Let go of everything that stalls."""
        self._released.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        message = await request.json()
        fault = self._fault(message)
        match fault:
            case Raw():
                return web.Response(text=fault.body, status=fault.status, headers=fault.headers)
            case Drop():
                assert request.transport is not None
                request.transport.abort()
            case Stall():
                await self._released.wait()
        return web.Response(text=self._reply(message, fault), content_type="application/json")

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self.connections += 1
        try:
            await self._serve(socket)
        finally:
            self.sockets.remove(socket)
        return socket

    async def _serve(self, socket: web.WebSocketResponse) -> None:
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                break
            message = json.loads(frame.data)
            fault = self._fault(message)
            match fault:
                case Raw():
                    await socket.send_str(fault.body)
                case Drop():
                    break
                case Stall():
                    continue
                case _:
                    await socket.send_str(self._reply(message, fault))

    def _fault(self, message: Any) -> Fault | None:
        for one in message if isinstance(message, list) else [message]:
            self.asked.append((one["method"], one["params"]))
        return self.faults.popleft() if self.faults else None

    def _reply(self, message: Any, fault: Fault | None) -> str:
        if isinstance(message, list):
            # In reverse: the order of a batch's replies is the node's business.
            return json.dumps([self._one(one, fault) for one in reversed(message)])
        return json.dumps(self._one(message, fault))

    def _one(self, message: Any, fault: Fault | None) -> dict[str, Any]:
        number = message["id"] + 1000 if isinstance(fault, WrongId) else message["id"]
        head = {"jsonrpc": "2.0", "id": number}
        result = fault if isinstance(fault, Refusal) else self._answer(message)
        if isinstance(result, Refusal):
            error = {"code": result.code, "message": result.message}
            return head | {"error": error | ({"data": result.data} if result.data else {})}
        return head | {"result": result}

    def _answer(self, message: Any) -> Any:
        method, params = message["method"], message["params"]
        if method == "eth_subscribe":
            self.subscribed.append(params)
            return f"0x{len(self.subscribed)}"
        if method == "eth_unsubscribe":
            return True
        answer = self.answers.get(method)
        return answer(params) if answer else Refusal(code=-32601, message="Method not found")


@contextlib.asynccontextmanager
async def fake_node() -> AsyncIterator[FakeNode]:
    """Run a fake node on a free port of this machine."""
    node = FakeNode()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", node.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    node.url = f"http://{host}:{port}"
    try:
        yield node
    finally:
        node.release()
        await runner.cleanup()


def header(number: int, *, fork: str = "a", parent_fork: str | None = None) -> dict[str, str]:
    """Return a block header as a node writes it; its hash says its number and branch."""
    return {
        "number": hex(number),
        "hash": block_hash(number, fork),
        "parentHash": block_hash(number - 1, parent_fork or fork),
        "timestamp": hex(1_700_000_000 + 12 * number),
        "gasUsed": hex(15_000_000),
        "gasLimit": hex(30_000_000),
        "baseFeePerGas": hex(10**9),
    }


def block_hash(number: int, fork: str = "a") -> str:
    """Return the hash of a made-up block."""
    return f"0x{fork.encode().hex():0>8}{max(number, 0):056x}"

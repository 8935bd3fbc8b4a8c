"""A proxy between a keeper and a node that spoils what passes by rules: HTTP and WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
from aiohttp import WSMsgType, web

from tests.support.proxy_faults import (
    PUSHED,
    Alter,
    Backwards,
    Body,
    Cut,
    Deaf,
    Delay,
    Drop,
    Fault,
    Forge,
    Hold,
    Json,
    Lie,
    Mute,
    RangeLimit,
    Refuse,
    Removed,
    Rule,
    Stall,
    Twice,
    WrongId,
)

HTML = Body(text="<html><body>502 Bad Gateway</body></html>", status=502)


class FaultProxy:
    """Passes everything on to ``target`` but what its rules spoil, and remembers what it saw."""

    def __init__(self, target: str, session: aiohttp.ClientSession) -> None:
        self.target = target
        self.url = ""
        self.rules: list[Rule] = []
        self.methods: list[str] = []
        self.sent: list[str] = []
        """Every raw transaction, as often as it came."""
        self.sockets: set[web.WebSocketResponse] = set()
        self.connections = 0
        self._session = session
        self._released = asyncio.Event()

    @property
    def ws_url(self) -> str:
        return self.url.replace("http://", "ws://")

    def spoil(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        count: int | None = None,
        but: str | None = None,
    ) -> Rule:
        """Add a rule; it stays until its count is used up or ``heal``."""
        rule = Rule(fault=fault, method=method, count=count, but=but)
        self.rules.append(rule)
        return rule

    def heal(self) -> None:
        """Drop every rule; what stalled is closed."""
        self.rules.clear()
        self._released.set()
        self._released = asyncio.Event()

    @contextmanager
    def spoiled(self, fault: Fault, *, method: str | None = None) -> Iterator[Rule]:
        """Spoil for the time of a block."""
        rule = self.spoil(fault, method=method)
        try:
            yield rule
        finally:
            self.rules.remove(rule)
            self._released.set()
            self._released = asyncio.Event()

    async def drop_sockets(self) -> None:
        """Close every WebSocket."""
        for socket in tuple(self.sockets):
            await socket.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        message = await request.json()
        fault = self._note(message)
        if isinstance(fault, Stall):
            await self._released.wait()
        if isinstance(fault, Deaf):
            await self._forward(message)
        if isinstance(fault, Stall | Drop | Deaf):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(fault, Body):
            return web.Response(text=fault.text, status=fault.status, headers=fault.headers)
        text = await self._answer(message, fault)
        return web.Response(text=text, content_type="application/json")

    def _note(self, message: Json) -> Fault | None:
        """Remember a message and return the fault that it meets."""
        for one in message if isinstance(message, list) else [message]:
            self.methods.append(one["method"])
            if one["method"] == "eth_sendRawTransaction":
                self.sent.append(one["params"][0])
        for rule in self.rules:
            if not isinstance(rule.fault, PUSHED) and rule.catches(message):
                rule.hits += 1
                return rule.fault
        return None

    async def _forward(self, message: Json) -> str:
        async with self._session.post(self.target, json=message) as reply:
            return await reply.text()

    async def _answer(self, message: Json, fault: Fault | None) -> str:
        """Return what comes back for a message."""
        if isinstance(fault, Refuse):
            return json.dumps(_each(message, lambda one: _refused(one, fault)))
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        text = await self._forward(message)
        match fault:
            case Hold():
                fault.answered.set()
                await fault.release.wait()
            case Cut():
                return text[: len(text) // 2]
            case WrongId():
                return json.dumps(_each(json.loads(text), lambda one: one | {"id": one["id"] + 7}))
            case RangeLimit():
                return json.dumps(_limited(message, json.loads(text), fault))
            case Lie():
                return json.dumps(_altered(message, json.loads(text), fault.alter))
        return text

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        self.sockets.add(socket)
        self.connections += 1
        try:
            target = self.target.replace("http://", "ws://")
            async with self._session.ws_connect(target, max_msg_size=0) as node:
                pushing = asyncio.create_task(self._push(node, socket))
                try:
                    await self._serve(socket, node)
                finally:
                    pushing.cancel()
        finally:
            self.sockets.discard(socket)
        return socket

    async def _serve(
        self, socket: web.WebSocketResponse, node: "aiohttp.ClientWebSocketResponse[bool]"
    ) -> None:
        """Answer over HTTP what needs no subscription, so that each answer can be spoiled."""
        async with asyncio.TaskGroup() as group:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    break
                message = json.loads(frame.data)
                fault = self._note(message)
                match fault:
                    case Stall():
                        continue
                    case Drop():
                        break
                    case Deaf():
                        await self._forward(message)
                        break
                    case Body():
                        await socket.send_str(fault.text)
                    case _ if _subscribes(message) and fault is None:
                        await node.send_str(frame.data)
                    case _:
                        group.create_task(self._reply(socket, message, fault))
        await socket.close()

    async def _reply(
        self, socket: web.WebSocketResponse, message: Json, fault: Fault | None
    ) -> None:
        text = await self._answer(message, fault)
        if not socket.closed:
            await socket.send_str(text)

    async def _push(
        self, node: "aiohttp.ClientWebSocketResponse[bool]", socket: web.WebSocketResponse
    ) -> None:
        """Pass notifications on, and what the node says to subscriptions."""
        async for frame in node:
            if frame.type is not WSMsgType.TEXT or socket.closed:
                break
            for text in self._notified(frame.data):
                await socket.send_str(text)

    def _notified(self, text: str) -> list[str]:
        message = json.loads(text)
        if message.get("method") != "eth_subscription":
            return [text]
        told = [text]
        for rule in self.rules:
            if isinstance(rule.fault, PUSHED) and rule.catches(message | {"params": []}):
                rule.hits += 1
                told = _spoiled_push(told, message, rule.fault)
        return told


def _spoiled_push(told: list[str], message: Json, fault: Fault) -> list[str]:
    match fault:
        case Mute():
            return []
        case Twice():
            return told * 2
        case Backwards():
            fault.held.extend(told)
            if len(fault.held) < fault.of:
                return []
            held, fault.held = fault.held[::-1], []
            return held
        case Forge():
            params = message["params"]
            told = [
                json.dumps(message | {"params": params | {"result": fault.alter(params["result"])}})
            ]
        case Removed() if "logIndex" in message["params"]["result"]:
            gone = json.loads(json.dumps(message))
            gone["params"]["result"]["removed"] = True
            return [*told, json.dumps(gone), *told]
    return told


def _subscribes(message: Json) -> bool:
    return isinstance(message, dict) and message["method"] in ("eth_subscribe", "eth_unsubscribe")


def _each(message: Json, change: Callable[[Json], Json]) -> Json:
    return [change(one) for one in message] if isinstance(message, list) else change(message)


def _refused(asked: Json, fault: Refuse) -> Json:
    error = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return {"jsonrpc": "2.0", "id": asked["id"], "error": error}


def _pairs(message: Json, answer: Json) -> list[tuple[Json, Json]]:
    if not isinstance(message, list):
        return [(message, answer)]
    by_id = {one["id"]: one for one in answer}
    return [(one, by_id[one["id"]]) for one in message]


def _altered(message: Json, answer: Json, alter: Alter) -> Json:
    for asked, told in _pairs(message, answer):
        if "result" in told:
            found = alter([asked["method"], *asked["params"]], told.pop("result"))
            told.update(_refused(asked, found) if isinstance(found, Refuse) else {"result": found})
    return answer


def _limited(message: Json, answer: Json, fault: RangeLimit) -> Json:
    for asked, told in _pairs(message, answer):
        query = asked["params"][0] if asked["method"] == "eth_getLogs" else {}
        if "fromBlock" not in query:
            continue
        width = int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1
        if width > fault.blocks:
            told.pop("result", None)
            words = f"eth_getLogs is limited to {fault.blocks} blocks"
            told["error"] = {"code": -32602, "message": words}
    return answer


@asynccontextmanager
async def fault_proxy(target: str) -> AsyncIterator[FaultProxy]:
    """Serve a proxy of the node at the HTTP URL ``target`` on a free port of this machine."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        proxy = FaultProxy(target, session)
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{rest:.*}", proxy.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        proxy.url = f"http://{host}:{port}"
        try:
            yield proxy
        finally:
            proxy.heal()
            await proxy.drop_sockets()
            await runner.cleanup()

"""The daemon's own HTTP endpoint: metrics, health, a status page, and the kill switch.

It is off by default and listens on loopback by default. It shows; the one thing that it can do is
stop sending, and that needs a token. There is no way to rearm over it. Whoever asks takes nothing
from the keeper: connections are few, of too many the oldest ends, and no stop waits long for one.
By a name that is not its own it tells no more than metrics, and whether all is well.
"""

import asyncio
import hmac
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import structlog
from aiohttp import web
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from keeper.core.errors import ConfigError, InvariantError, KeeperError
from keeper.telemetry.hosts import is_own

log = structlog.get_logger()

HALT_REFUSED = "halt.refused"
PAGE_FAILED = "page.failed"

_PAGE: Final = Path(__file__).parent / "page"
_LARGEST_BODY: Final = 4_096
MOST_CONNECTIONS: Final = 64
"""Each is a descriptor, of which journal and nodes need theirs."""
_PATIENCE_S: Final = 1.0
"""For who does not read his answer or finish his question, when the keeper ends."""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_BEARER: Final = "Bearer "
_BY_ANY_NAME: Final = frozenset({"/metrics", "/healthz", "/readyz"})
"""For who scrapes and who looks whether it lives, in networks that name it as they like."""

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Watched(Protocol):
    """What is shown, and can be stopped."""

    def stalled(self) -> Sequence[str]:
        """Return why the daemon is not doing its work, empty when it is."""
        ...

    def unready(self) -> Sequence[str]:
        """Return why it would not liquidate now, what ``stalled`` says included."""
        ...

    def measure(self) -> None:
        """Bring gauges up to date."""
        ...

    async def status(self) -> Mapping[str, object]:
        """Return everything that the page shows; amounts are decimal strings of wei."""
        ...

    def halt(self, why: str) -> None:
        """Stop all sending now."""
        ...


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where to listen, and what allows to halt."""

    host: str
    port: int
    """0 is any free one."""
    token: str | None
    """None refuses every halt."""
    key: str
    """What the port is configured by, for messages."""
    names: tuple[str, ...] = ()
    """By which it is asked, besides ``host``, addresses and localhost."""

    def is_asked(self, request: web.Request) -> bool:
        """Return whether a request is by a name of ours, not one that a foreign page chose."""
        return is_own(request.headers.get("Host"), (self.host, *self.names))


@asynccontextmanager
async def serving(
    endpoint: Endpoint, watched: Watched, registry: CollectorRegistry
) -> AsyncIterator[int]:
    """Serve until the block ends; give the port. Raises ConfigError when it cannot listen."""
    desk = _Desk(endpoint, watched, registry)
    application = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_guarded, desk.own])
    application.add_routes(desk.routes())
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        logger=_unheard(),
        shutdown_timeout=_PATIENCE_S,
        lingering_time=_PATIENCE_S,
    )
    await runner.setup()
    try:
        listening = await _listen(_few(runner.server), endpoint)
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
    finally:
        await runner.cleanup()


def _unheard() -> logging.Logger:
    """Return a logger for what is no request: nobody must get up, and whoever sends it sends more.

    What fails in answering is told by ``_guarded``.
    """
    logger = logging.getLogger("keeper.endpoint")
    logger.disabled = True
    return logger


def _few(server: web.Server | None) -> Callable[[], asyncio.BaseProtocol]:
    """Return what takes a new connection, and ends the oldest where there would be too many."""
    if server is None:  # as before ``setup``
        raise InvariantError("endpoint: expected a server that was set up, found none")

    def take() -> asyncio.BaseProtocol:
        ways = [one.transport for one in server.connections if one.transport is not None]
        open_ways = [one for one in ways if not one.is_closing()]
        if len(open_ways) >= MOST_CONNECTIONS:
            open_ways[0].abort()  # close() would wait for whoever does not read
        return server()

    return take


async def _listen(take: Callable[[], asyncio.BaseProtocol], endpoint: Endpoint) -> asyncio.Server:
    loop, where = asyncio.get_running_loop(), (endpoint.host, endpoint.port)
    try:
        return await loop.create_server(take, *where, backlog=MOST_CONNECTIONS)
    except OSError as error:
        # What asyncio makes of it says the address once more.
        reason = os.strerror(error.errno) if error.errno else error.strerror
        expected = "expected an address to listen on"
        msg = f"{endpoint.key}: {expected}, found {endpoint.host}:{endpoint.port}: {reason}"
        raise ConfigError(msg) from error


@web.middleware
async def _guarded(request: web.Request, handler: Handle) -> web.StreamResponse:
    """Put the headers on every answer; an answer that cannot be made is told in the log."""
    try:
        answer = await handler(request)
    except web.HTTPException as error:
        error.headers.update(_HEADERS)
        raise
    except KeeperError as error:
        log.warning(PAGE_FAILED, path=request.path, why=str(error))
        answer = web.json_response({"error": str(error)}, status=500)
    except Exception as error:  # a fault of ours in showing stops nothing that acts
        log.exception(PAGE_FAILED, path=request.path, why=type(error).__name__)
        answer = web.json_response({"error": "a fault of Keeper itself"}, status=500)
    answer.headers.update(_HEADERS)
    return answer


class _Desk:
    """Answers requests."""

    def __init__(self, endpoint: Endpoint, watched: Watched, registry: CollectorRegistry) -> None:
        self._endpoint = endpoint
        self._watched = watched
        self._registry = registry
        self._asking = asyncio.Lock()
        """Whose page is made: of many at once each would take a thread from what acts."""

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/metrics", self._metrics),
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/status.json", self._status),
            web.post("/halt", self._halt),
            web.get("/", self._page("index.html", "text/html")),
            web.get("/page.js", self._page("page.js", "text/javascript")),
            web.get("/page.css", self._page("page.css", "text/css")),
        ]

    @web.middleware
    async def own(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        """Refuse what is asked by a foreign name, but for what anybody may ask."""
        if request.path in _BY_ANY_NAME or self._endpoint.is_asked(request):
            return await handler(request)
        expected = "an address, localhost, http.host or one of http.names as Host"
        why = f"expected {expected}, found {request.headers['Host']!r}"
        return web.json_response({"error": why}, status=web.HTTPMisdirectedRequest.status_code)

    def _page(self, name: str, kind: str) -> Handle:
        content = (_PAGE / name).read_bytes()

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(body=content, content_type=kind, charset="utf-8")

        return answer

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        self._watched.measure()
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        return self._verdict(request, self._watched.stalled())

    async def _readyz(self, request: web.Request) -> web.StreamResponse:
        return self._verdict(request, self._watched.unready())

    def _verdict(self, request: web.Request, problems: Sequence[str]) -> web.Response:
        """Return 200, or 503, with every reason for who asks by a name of ours."""
        told = list(problems) if self._endpoint.is_asked(request) else []
        answer = {"ok": not problems, "problems": told}
        return web.json_response(answer, status=503 if problems else 200)

    async def _status(self, _: web.Request) -> web.StreamResponse:
        async with self._asking:
            return web.json_response(await self._watched.status())

    async def _halt(self, request: web.Request) -> web.StreamResponse:
        """Stop sending, for whoever has the token."""
        token = self._endpoint.token
        if token is None:
            return _refused(request, 403, "no halt token is configured")
        given = request.headers.get("Authorization", "")
        if not given.startswith(_BEARER) or not hmac.compare_digest(
            _bytes_of(given.removeprefix(_BEARER)), _bytes_of(token)
        ):
            return _refused(request, 401, "expected the halt token as bearer")
        why = f"kill switch: POST /halt from {request.remote}"
        self._watched.halt(why)
        return web.json_response({"halted": why})


def _bytes_of(text: str) -> bytes:
    """Return text as it came, also what is no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _refused(request: web.Request, status: int, why: str) -> web.Response:
    log.warning(HALT_REFUSED, peer=request.remote, why=why)
    return web.json_response({"error": why}, status=status)

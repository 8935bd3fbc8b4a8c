"""JSON-RPC over HTTP POST."""

import asyncio
import email.utils
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC

import aiohttp

from keeper.chain.bounded import MOST_BYTES, bounded
from keeper.chain.endpoint import Endpoint
from keeper.chain.errors import RateLimitedError, SlowError
from keeper.chain.jsonrpc import (
    NodeError,
    Reply,
    Request,
    decode_batch,
    decode_reply,
    encode_batch,
    encode_request,
)
from keeper.core.errors import TransientError
from keeper.core.primed import Primed

_HEADERS = {"content-type": "application/json"}
_TOO_MANY = 429
_SERVER_ERROR = 500
_UNAVAILABLE = 503
_NOT_AN_ANSWER = 300


class HttpTransport:
    """Talks to a node through a shared aiohttp session, which the caller closes."""

    def __init__(
        self, endpoint: Endpoint, session: aiohttp.ClientSession, *, now: Callable[[], float]
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._now = now
        self._next_id = 1

    @property
    def name(self) -> str:
        """Return scheme and host."""
        return self._endpoint.label

    async def request(self, request: Request, *, timeout_s: float) -> Reply:
        """Post one request."""
        number = self._take_ids(1)
        body = await self._post(encode_request(request, number), timeout_s)
        if isinstance(body, NodeError):
            return body
        return decode_reply(body, number, self.name)

    def prime(self, request: Request) -> Primed[Reply] | None:  # noqa: ARG002 - the port's
        """Return None: a request over HTTP may have to wait for a connection."""
        return None

    async def batch(self, requests: Sequence[Request], *, timeout_s: float) -> list[Reply]:
        """Post one JSON array of requests."""
        if not requests:
            return []
        first = self._take_ids(len(requests))
        body = await self._post(encode_batch(requests, first), timeout_s)
        if isinstance(body, NodeError):
            return [body] * len(requests)
        return decode_batch(body, first, len(requests), self.name)

    async def close(self) -> None:
        """Do nothing: the session belongs to the caller."""

    def _take_ids(self, count: int) -> int:
        first = self._next_id
        self._next_id += count
        return first

    async def _post(self, body: bytes, timeout_s: float) -> bytes | NodeError:
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.post(
                    self._endpoint.address, data=body, headers=_HEADERS, allow_redirects=False
                ) as answer,
            ):
                found = await bounded(answer, self.name, MOST_BYTES)
        except TimeoutError as e:
            msg = f"{self.name}: expected a reply within {timeout_s:g} s, found none"
            raise SlowError(msg) from e
        except (aiohttp.ClientError, OSError) as e:
            raise TransientError(f"{self.name}: {connection_trouble(e)}") from e
        if answer.status >= _NOT_AN_ANSWER:
            return self._refused(answer.status, answer.headers, found) or found
        return found

    def _refused(self, status: int, headers: Mapping[str, str], body: bytes) -> NodeError | None:
        """Return the refusal that an HTTP status is; raise when asking again may help.

        None when the body is JSON-RPC in spite of the status, as some nodes send.
        """
        message = f"{self.name}: expected HTTP 200, found {status}"
        wish = retry_after_s(headers.get("Retry-After"), self._now())
        if status == _TOO_MANY or (status == _UNAVAILABLE and wish is not None):
            raise RateLimitedError(message, wish)
        if status >= _SERVER_ERROR:
            raise TransientError(message)
        if body.lstrip()[:1] in (b"{", b"["):
            return None
        return NodeError(code=status, message=f"HTTP {status}")


def retry_after_s(header: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for: a number or an HTTP date."""
    if header is None:
        return None
    try:
        if header.strip().isdigit():
            return float(header)
        date = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(date.timestamp() - now, 0.0)


def connection_trouble(error: Exception) -> str:
    """Describe a failed connection by its kind: aiohttp's own texts can hold the URL."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "expected the host to resolve, found no such name"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "expected a valid TLS certificate, found a bad one"
        case aiohttp.ClientConnectorError():
            return f"expected to connect, found {os.strerror(error.os_error.errno or 0)}"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return "expected a reply, found the connection closed"
        case _:
            return f"expected a reply, found {type(error).__name__}"

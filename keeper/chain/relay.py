"""JSON-RPC to a relay or a builder over HTTP, each request signed over its exact bytes."""

import asyncio

import aiohttp
import msgspec
from msgspec import Struct

from keeper.chain.bounded import MOST_OF_OTHERS, bounded
from keeper.chain.classify import is_unsaid
from keeper.chain.endpoint import Endpoint
from keeper.chain.jsonrpc import UNREADABLE
from keeper.core.errors import RefusedError, TransientError
from keeper.evm.relay_signature import HEADER, RelayIdentity

_SHOWN = 300
_TOO_MANY = 429
_SERVER_ERROR = 500


class _Reply(msgspec.Struct, frozen=True):
    result: object = msgspec.UNSET
    error: object = None


class Relay(Struct, frozen=True, kw_only=True):
    """One relay. ``identity`` is None where no signature is asked for."""

    endpoint: Endpoint
    session: aiohttp.ClientSession
    identity: RelayIdentity | None
    timeout_s: float = 3.0

    @property
    def name(self) -> str:
        """Return scheme and host."""
        return self.endpoint.label

    async def ask(self, method: str, *params: object) -> object:
        """Ask once and return the result.

        Raises RefusedError when the relay says no, TransientError when it is not known.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        body = msgspec.json.encode(request)
        headers = {"content-type": "application/json"}
        if self.identity is not None:
            headers[HEADER] = self.identity.header(body)
        status, content = await self._post(body, headers, method)
        try:
            reply = msgspec.json.decode(content, type=_Reply)
        except UNREADABLE as e:
            msg = f"{self.name}: {method}: expected JSON-RPC, found HTTP {status} of another shape"
            raise TransientError(msg) from e
        if reply.error is not None:
            said = str(reply.error)[:_SHOWN]
            kind = TransientError if is_unsaid(said) else RefusedError
            raise kind(f"{self.name}: {method}: expected a result, found {said}")
        if reply.result is msgspec.UNSET:
            msg = f"{self.name}: {method}: expected JSON-RPC, found HTTP {status} without a result"
            raise TransientError(msg)
        return reply.result

    async def _post(self, body: bytes, headers: dict[str, str], method: str) -> tuple[int, bytes]:
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                self.session.post(
                    self.endpoint.address, data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                content = await bounded(answer, f"{self.name}: {method}", MOST_OF_OTHERS)
        except TimeoutError as e:
            msg = f"{self.name}: {method}: expected a reply in {self.timeout_s:g} s, found none"
            raise TransientError(msg) from e
        except (aiohttp.ClientError, OSError) as e:
            # The cause's own text can hold the URL, and with it a secret.
            found = type(e).__name__
            raise TransientError(
                f"{self.name}: {method}: expected a reply, found {found}"
            ) from None
        if answer.status == _TOO_MANY or answer.status >= _SERVER_ERROR:
            msg = f"{self.name}: {method}: expected HTTP 200, found {answer.status}"
            raise TransientError(msg)
        return answer.status, content

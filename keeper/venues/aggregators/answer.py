"""What any aggregator's answer comes down to, and the line to one aggregator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from keeper.core.errors import RefusedError, TransientError
from keeper.core.ports import Ask
from keeper.core.units import Address, address
from keeper.runtime.bounded import at_most

_MOST_BYTES: Final = 512 * 1024
"""Of an answer that is read at all; routes are described at length."""
_OK: Final = 200
_MOST_DIGITS: Final = 78

T = TypeVar("T")


class Answer(Struct, frozen=True, kw_only=True):
    """What an aggregator said it would do. Nothing in it is to be believed."""

    token_in: Address
    token_out: Address
    amount_in: int
    amount_out: int
    target: Address
    spender: Address
    data: bytes
    value: int
    gas: int
    """0 where the aggregator does not say."""
    taker: Address | None = None
    """Whose transaction it is, where the answer says so."""


class CallSaid(msgspec.Struct, frozen=True):
    """A transaction as every one of them describes it."""

    to: str
    data: str
    value: int | str = 0
    gas: int | str = 0
    sender: str | None = msgspec.field(name="from", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The way to one aggregator. URL and headers may hold its key: neither is ever shown."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    session: aiohttp.ClientSession

    async def get(self, path: str, query: Mapping[str, str], shape: type[T]) -> T:
        """Ask, and return the answer; raise RefusedError or TransientError without their words."""
        return await self._ask("GET", path, shape, query=query)

    async def post(self, path: str, body: Mapping[str, object], shape: type[T]) -> T:
        """Ask with a JSON body, and return the answer."""
        return await self._ask("POST", path, shape, body=msgspec.json.encode(body))

    async def _ask(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> T:
        headers = {**self.headers, "content-type": "application/json"}
        try:
            async with self.session.request(
                method,
                self.url.rstrip("/") + path,
                params=query,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as reply:
                if reply.status != _OK:
                    raise RefusedError(f"expected HTTP 200, found {reply.status}")
                found = await _bounded(reply)
        except (aiohttp.ClientError, OSError, ValueError) as e:
            # Their own texts can hold the URL, and with it a key.
            raise TransientError(f"expected a reply, found {type(e).__name__}") from None
        try:
            return msgspec.json.decode(found, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RefusedError("expected the documented answer, found another shape") from None


class Shape(Protocol):
    """How one aggregator is asked, and how its answer is read."""

    async def quote(self, line: Line, chain_id: int, ask: Ask) -> Answer:
        """Return what it answers.

        Raises RefusedError when it says no or nonsense, TransientError when nothing is known.
        """
        ...


def spelled(text: str) -> Address:
    """Return an address that somebody else spelled; raise RefusedError when it is none."""
    try:
        return address(text)
    except ValueError:
        raise RefusedError("expected an address, found something else") from None


def whole(said: int | str) -> int:
    """Return a whole number that is not negative, of JSON's number or decimal text."""
    if isinstance(said, int) and said >= 0:
        return said
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS:
        return int(said)
    raise RefusedError("expected a whole number, found something else")


def calldata(text: str) -> bytes:
    """Return the bytes of 0x hex."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise RefusedError("expected calldata as 0x hex, found something else") from None


async def _bounded(reply: aiohttp.ClientResponse) -> bytes:
    found = await at_most(reply.content.iter_any(), _MOST_BYTES)
    if found is None:
        raise RefusedError(f"expected at most {_MOST_BYTES} bytes, found more")
    return found

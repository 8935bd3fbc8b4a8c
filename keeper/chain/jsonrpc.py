"""JSON-RPC 2.0 on bytes: requests written, replies read and checked. No I/O."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from keeper.core.errors import TransientError
from keeper.core.text import with_shown_urls

_SHOWN_BYTES = 60


class Request(Struct, frozen=True, kw_only=True):
    """A method and its parameters, as JSON values."""

    method: str
    params: tuple[object, ...] = ()

    @property
    def is_send(self) -> bool:
        """Return whether it gives the node a transaction: it must be known what became of it."""
        return self.method.startswith("eth_send")


LONGEST_MESSAGE = 2_000
"""Characters of an error that are kept: a contract chooses its reason to revert, and it is kept for
each account in memory, the books and the log."""


class NodeError(msgspec.Struct, frozen=True):
    """An error object as the node sent it, but for its length and URLs.

    Those of nodes behind it may hold keys.
    """

    code: int
    message: str = ""
    data: object = None

    def __post_init__(self) -> None:
        """Cut URLs: a fork names the node that it forks, with its key, when that fails."""
        force_setattr(self, "message", with_shown_urls(self.message[:LONGEST_MESSAGE]))


Reply = msgspec.Raw | NodeError
"""A result as JSON that nobody has decoded yet, or the node's error."""


class Message(msgspec.Struct, frozen=True):
    """Anything that a node may send: a reply or a notification."""

    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: NodeError | None = None
    method: str = ""

    def reply(self, node: str) -> Reply:
        """Return the result or the error; raise TransientError when there is neither."""
        if self.error is not None:
            return self.error
        if not bytes(self.result):
            raise TransientError(f"{node}: expected a result or an error, found neither")
        return self.result


class Notification(msgspec.Struct, frozen=True):
    """The parameters of an ``eth_subscription`` message."""

    subscription: str
    result: msgspec.Raw


class _Push(msgspec.Struct, frozen=True):
    """A message that nobody asked for."""

    method: str
    params: Notification


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it is written."""

    jsonrpc: str = "2.0"
    id: int
    method: str
    params: tuple[object, ...]


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What JSON raises that is none, has a text that is not UTF-8, or is nested without end."""

_encoder = msgspec.json.Encoder()
_one = msgspec.json.Decoder(Message)
_many = msgspec.json.Decoder(list[Message])
_push = msgspec.json.Decoder(_Push)


def encode_request(request: Request, number: int) -> bytes:
    """Return the request as JSON under the id ``number``."""
    return _encoder.encode(_envelope(request, number))


def encode_batch(requests: Sequence[Request], first: int) -> bytes:
    """Return one JSON array of requests with the ids ``first``, ``first + 1``, ..."""
    return _encoder.encode([_envelope(r, first + i) for i, r in enumerate(requests)])


def decode_message(body: bytes, node: str) -> Message:
    """Return one message; raise TransientError when it is not one."""
    try:
        return _one.decode(body)
    except UNREADABLE as e:
        raise not_json_rpc(body, node) from e


def decode_reply(body: bytes, number: int, node: str) -> Reply:
    """Return the reply to the request ``number``; raise TransientError on anything else."""
    message = decode_message(body, node)
    if message.id != number and not (message.id is None and message.error is not None):
        raise wrong_id(node, number, message.id)
    return message.reply(node)


def decode_batch(body: bytes, first: int, count: int, node: str) -> list[Reply]:
    """Return the replies of a batch in the order asked; raise TransientError unless complete.

    A node that refuses the batch answers one error, which is then the reply to each request.
    """
    if body.lstrip()[:1] == b"{":
        error = decode_message(body, node).error
        if error is None:
            raise TransientError(f"{node}: expected a batch of {count} replies, found one object")
        return [error] * count
    try:
        messages = _many.decode(body)
    except UNREADABLE as e:
        raise not_json_rpc(body, node) from e
    replies = {message.id: message for message in messages}
    wanted = range(first, first + count)
    for number in wanted:
        if number not in replies:
            raise wrong_id(node, number, next((i for i in replies if i not in wanted), None))
    return [replies[number].reply(node) for number in wanted]


def decode_push(body: bytes) -> Notification | None:
    """Return subscription and payload of what a node pushed; None when it is something else."""
    try:
        return _push.decode(body).params
    except UNREADABLE:
        return None


def not_json_rpc(body: bytes, node: str) -> TransientError:
    """Return the error for a body that is not JSON-RPC, with how it begins."""
    return TransientError(f"{node}: expected a JSON-RPC reply, found {_describe(body)}")


def wrong_id(node: str, expected: int, found: object) -> TransientError:
    """Return the error for a reply to a question that was not asked."""
    return TransientError(f"{node}: expected the reply to request {expected}, found id {found!r}")


def _describe(body: bytes) -> str:
    text = body.strip()
    if not text:
        return "an empty body"
    if text[:1] == b"<":
        return "HTML"
    if text[:1] in b"{[" and text[-1:] not in b"}]":
        return f"JSON cut short after {len(body)} bytes"
    return repr(text[:_SHOWN_BYTES].decode("ascii", "backslashreplace"))


def _envelope(request: Request, number: int) -> _Envelope:
    return _Envelope(id=number, method=request.method, params=request.params)

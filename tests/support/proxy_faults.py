"""What befalls a message between a keeper and a node, and which messages."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = Any
Alter = Callable[[list[Json], Json], Json]
"""Takes method with parameters, and the result; returns what is told instead, or a ``Refuse``."""


class Stall:
    """Nothing comes back, and the connection stays open."""


class Drop:
    """The connection closes, before the node has heard anything."""


class Deaf:
    """The node hears it and acts; the connection closes before its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """It takes so long."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Other bytes come back; over HTTP with this status."""

    text: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The node has answered; what it said comes back when a test lets it."""

    answered: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


class Cut:
    """Half of the answer comes back."""


class WrongId:
    """The answer is to another request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """A JSON-RPC error comes back, and the node hears nothing."""

    code: int
    message: str
    data: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lie:
    """The node's result is altered."""

    alter: Alter


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeLimit:
    """Logs of more blocks than this are refused."""

    blocks: int


class Mute:
    """Notifications are swallowed."""


class Twice:
    """Notifications come twice."""


@dataclass(slots=True, kw_only=True)
class Backwards:
    """So many notifications are held and come in reverse."""

    of: int
    held: list[str] = field(default_factory=list)


class Removed:
    """Each pushed log is followed by its own removal, and by itself again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forge:
    """What is pushed is altered; answers are not."""

    alter: Callable[[Json], Json]


Fault = (
    Stall | Drop | Deaf | Delay | Hold | Body | Cut | WrongId | Refuse | Lie | RangeLimit | Mute
    | Twice | Backwards | Removed | Forge
)  # fmt: skip
PUSHED = (Mute, Twice, Backwards, Removed, Forge)
"""What befalls notifications, and no answer."""


@dataclass(slots=True, kw_only=True, eq=False)
class Rule:
    """What to spoil: the messages with a method, or any; so many of them, or all.

    ``but`` is a text of which there is none in their parameters.
    """

    fault: Fault
    method: str | None = None
    count: int | None = None
    but: str | None = None
    hits: int = 0

    def catches(self, message: Json) -> bool:
        asked = message if isinstance(message, list) else [message]
        methods = [one["method"] for one in asked if self.but not in one["params"]]
        if self.count is not None and self.hits >= self.count:
            return False
        return bool(methods) if self.method is None else self.method in methods

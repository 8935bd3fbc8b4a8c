"""Alerts: which of them are told, and that telling never holds up whoever raises one.

Raising an alert is a look into a table and an entry into bounded queues; a thread for each channel
does the rest. What a channel cannot take is lost, counted, and said with the next that it takes.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from msgspec import Struct

from keeper.core.values import replace

HOUR_S = 3_600.0


class Severity(IntEnum):
    """How much an alert matters."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2


class Alert(Struct, frozen=True, kw_only=True):
    """What a person should hear of. Its text holds no secret: it went through the redactor."""

    key: str
    """What is wrong: while it lasts it is told once, and again after a while."""
    severity: Severity
    title: str
    body: str
    recovered: bool = False
    """It is over."""


class Restraint(Struct, frozen=True, kw_only=True):
    """How many alerts are too many."""

    least: Severity
    repeat_s: float
    """Seconds before the same trouble, which is not over, is told again."""
    most_per_hour: int
    """Of all alerts that matter as much, or more; that something is over is always told."""


class Channel(Protocol):
    """A way to a person."""

    def offer(self, alert: Alert) -> None:
        """Take an alert to deliver later. Never blocks."""
        ...


@dataclass(slots=True, kw_only=True)
class _Told:
    at: float
    unsaid: int = 0


class AlertDesk:
    """Decides which alerts are told, and hands those to every channel. Any thread may call it."""

    def __init__(
        self, channels: Sequence[Channel], restraint: Restraint, *, now: Callable[[], float]
    ) -> None:
        """Make a desk; ``now`` is in seconds and never goes back."""
        self._channels = channels
        self._restraint = restraint
        self._now = now
        self._lock = threading.Lock()
        self._told: dict[str, _Told] = {}
        self._recent: deque[tuple[float, Severity]] = deque()
        self._withheld = 0

    def heed(self, alert: Alert) -> None:
        """Tell the alert, unless it is known, too small or one too many."""
        with self._lock:
            telling = self._recovery(alert) if alert.recovered else self._trouble(alert)
        if telling is not None:
            for channel in self._channels:
                channel.offer(telling)

    def _recovery(self, alert: Alert) -> Alert | None:
        """Return that a trouble is over, None when nobody heard of it."""
        return None if self._told.pop(alert.key, None) is None else alert

    def _trouble(self, alert: Alert) -> Alert | None:
        now, restraint = self._now(), self._restraint
        if alert.severity < restraint.least:
            return None
        known = self._told.get(alert.key)
        if known is not None and now - known.at < restraint.repeat_s:
            known.unsaid += 1
            return None
        while self._recent and now - self._recent[0][0] >= HOUR_S:
            self._recent.popleft()
        as_grave = sum(one >= alert.severity for _, one in self._recent)
        if as_grave >= restraint.most_per_hour:
            self._withheld += 1
            return None
        self._recent.append((now, alert.severity))
        self._told[alert.key] = _Told(at=now)
        return self._with_counts(alert, known.unsaid if known is not None else 0)

    def _with_counts(self, alert: Alert, unsaid: int) -> Alert:
        """Return the alert with how many were not told before it."""
        said = [alert.body]
        if unsaid:
            said.append(f"{unsaid} more of these since it was last told.")
        if self._withheld:
            said.append(f"{self._withheld} other alerts were not sent: too many within an hour.")
            self._withheld = 0
        return replace(alert, body="\n".join(said))

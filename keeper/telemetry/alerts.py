"""Alerts: which of them are told, and that telling never holds up whoever raises one.

Raising an alert is a look into a table and an entry into bounded queues; a thread for each channel
does the rest. What a channel cannot take is lost, counted, and said with the next that it takes.
What lasts is raised once, when it begins: ``remind`` tells it again.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from msgspec import Struct

from keeper.core.values import replace

HOUR_S = 3_600.0
_LOOK_S = 30.0
"""How often to look for what is to be told again, at least."""


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
    lasts: bool = False
    """It is as it says until its end is raised."""


class Restraint(Struct, frozen=True, kw_only=True):
    """How many alerts are too many."""

    least: Severity
    repeat_s: float
    """Seconds before the same trouble, which is not over, is told again."""
    most_per_hour: int
    """Of all alerts that matter as much, or more; that something is over is always told.

    A trouble of which less than its even part of these was told is told beyond them, and so is one
    that none was told of.
    """


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
        self._lock = threading.RLock()
        self._told: dict[str, _Told] = {}
        self._lasting: dict[str, Alert] = {}
        """The newest word on each trouble that is not over."""
        self._recent: deque[tuple[float, Alert]] = deque()
        self._withheld = 0

    def heed(self, alert: Alert) -> None:
        """Tell the alert, unless it is known, too small or one too many."""
        with self._lock:
            telling = self._recovery(alert) if alert.recovered else self._trouble(alert)
            self._tell([] if telling is None else [telling])

    def remind(self) -> None:
        """Tell what lasts and was not told for so long, or was one too many when it came again."""
        with self._lock:
            self._tell([self._telling(one) for one in self._lasting.values() if self._is_due(one)])

    def forget(self, is_unsure: Callable[[str], bool]) -> None:
        """Remind of nothing whose key is unsure: what still is so is raised anew."""
        with self._lock:
            for key in [one for one in self._lasting if is_unsure(one)]:
                del self._lasting[key]

    def _tell(self, alerts: Sequence[Alert]) -> None:
        """Hand alerts on, under the lock: no trouble is told behind its end."""
        for alert in alerts:
            for channel in self._channels:
                channel.offer(alert)

    def _recovery(self, alert: Alert) -> Alert | None:
        """Return that a trouble is over, None when nobody heard of it."""
        self._lasting.pop(alert.key, None)
        return None if self._told.pop(alert.key, None) is None else alert

    def _trouble(self, alert: Alert) -> Alert | None:
        if alert.severity < self._restraint.least:
            return None
        if alert.lasts:
            self._lasting[alert.key] = alert
        if self._is_fresh(alert):
            self._told[alert.key].unsaid += 1
            return None
        if not self._has_room(alert):
            self._withheld += 1
            return None
        return self._telling(alert)

    def _is_due(self, alert: Alert) -> bool:
        return not self._is_fresh(alert) and self._has_room(alert)

    def _is_fresh(self, alert: Alert) -> bool:
        """Return whether it was told so short a time ago that it is not told again."""
        known = self._told.get(alert.key)
        return known is not None and self._now() - known.at < self._restraint.repeat_s

    def _has_room(self, alert: Alert) -> bool:
        """Return whether few were told within the hour, or less of this trouble than its part.

        Neither one that comes and goes without end nor many others may keep a halt from being told:
        each trouble has its even part of the hour, one at least, whatever the others took. How many
        there can be is bounded by what is configured.
        """
        now, most = self._now(), self._restraint.most_per_hour
        while self._recent and now - self._recent[0][0] >= HOUR_S:
            self._recent.popleft()
        told = [one.key for _, one in self._recent if one.severity >= alert.severity]
        part = max(1, most // len({*told, alert.key}))
        return len(told) < most or told.count(alert.key) < part

    def _telling(self, alert: Alert) -> Alert:
        """Note that it is told now; return it with what is to be said besides."""
        now, known = self._now(), self._told.get(alert.key)
        self._recent.append((now, alert))
        self._told[alert.key] = _Told(at=now)
        said = [alert.body]
        if known is not None and alert.lasts:
            said.append("It was told before, and is not over.")
        if known is not None and known.unsaid:
            said.append(f"{known.unsaid} more of these since it was last told.")
        if self._withheld:
            said.append(f"{self._withheld} other alerts were not sent: too many within an hour.")
            self._withheld = 0
        return replace(alert, body="\n".join(said))


@contextmanager
def reminding(desk: AlertDesk, repeat_s: float) -> Iterator[None]:
    """Have a desk tell again what lasts, by a thread of its own, until the block ends."""
    ending = threading.Event()

    def remind() -> None:
        while not ending.wait(min(repeat_s, _LOOK_S)):
            desk.remind()

    thread = threading.Thread(target=remind, name="alerts again", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()

"""Channels to people, through apprise: Slack, Telegram, PagerDuty, mail, a webhook and others.

apprise blocks while it sends, so each channel has a thread and a bounded queue of its own: one that
stalls delays neither the keeper nor another channel.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from keeper.core.errors import ConfigError
from keeper.telemetry.alerts import Alert, Severity

log = structlog.get_logger()

ALERT_FAILED = "alert.failed"
ALERT_LOST = "alert.lost"

WAITING: Final = 64
"""Alerts that a channel holds."""
PAUSES_S: Final = (2.0, 10.0, 60.0)
"""Waits between tries of one alert; after the last it is lost."""

Deliver = Callable[[Alert], bool]
"""Sends an alert and returns whether the other side took it. It may block."""


class AlertChannel:
    """Delivers alerts one after the other, in a thread of its own."""

    def __init__(self, name: str, deliver: Deliver, *, pauses: Sequence[float] = PAUSES_S) -> None:
        """Start the thread. ``name`` is fit to log."""
        self.name = name
        self._deliver = deliver
        self._pauses = pauses
        self._waiting: queue.Queue[Alert | None] = queue.Queue(WAITING)
        self._closing = threading.Event()
        # A daemon: a channel that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"alerts {name}", daemon=True)
        self._thread.start()

    def offer(self, alert: Alert) -> None:
        """Take an alert, or lose it when too many wait."""
        try:
            self._waiting.put_nowait(alert)
        except queue.Full:
            log.warning(ALERT_LOST, channel=self.name, title=alert.title, why="too many wait")

    def close(self, patience_s: float) -> None:
        """Deliver what waits, without waiting between tries, for so long."""
        self._closing.set()
        try:
            self._waiting.put(None, timeout=patience_s)
        except queue.Full:
            return
        self._thread.join(patience_s)

    def _work(self) -> None:
        while (alert := self._waiting.get()) is not None:
            if not self._delivered(alert):
                log.warning(ALERT_LOST, channel=self.name, title=alert.title, why="not taken")

    def _delivered(self, alert: Alert) -> bool:
        """Try until it is taken or the tries are used up."""
        for pause in (*self._pauses, None):
            if self._try(alert):
                return True
            if pause is None or self._closing.is_set():
                return False
            self._closing.wait(pause)
        return False

    def _try(self, alert: Alert) -> bool:
        try:
            taken = self._deliver(alert)
        except Exception as error:  # noqa: BLE001 - whatever a plugin throws, the thread lives on
            log.warning(ALERT_FAILED, channel=self.name, problem=type(error).__name__)
            return False
        if not taken:
            log.warning(ALERT_FAILED, channel=self.name, problem="not taken")
        return taken


def apprise_delivery(url: str, key: str) -> tuple[str, Deliver]:
    """Return a channel's name and its delivery. Raises ConfigError that does not show the URL.

    ``key`` is where the URL was configured. apprise costs a second to import, so that only a
    keeper with channels pays for it.
    """
    import apprise  # noqa: PLC0415 - see above

    # It logs URLs, and what it says is no more than whether it was taken.
    logging.getLogger("apprise").disabled = True
    service = apprise.Apprise()
    if not service.add(url):
        msg = f"{key}: expected a URL of a channel that apprise knows, found a value not shown"
        raise ConfigError(msg)
    types = {
        Severity.INFO: apprise.NotifyType.INFO,
        Severity.WARNING: apprise.NotifyType.WARNING,
        Severity.CRITICAL: apprise.NotifyType.FAILURE,
    }

    def deliver(alert: Alert) -> bool:
        kind = apprise.NotifyType.SUCCESS if alert.recovered else types[alert.severity]
        return bool(
            service.notify(
                title=alert.title,
                body=alert.body or alert.title,
                notify_type=kind,
                body_format=apprise.NotifyFormat.TEXT,
            )
        )

    return url.partition("://")[0], deliver

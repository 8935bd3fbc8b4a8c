"""Channels to people, through apprise: Slack, Telegram, PagerDuty, mail, a webhook and others.

apprise blocks while it sends, so each channel has a thread and a bounded line of its own: one that
stalls delays neither the keeper nor another channel.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog

from keeper.core.errors import ConfigError
from keeper.core.values import replace
from keeper.telemetry.alerts import Alert, Severity

log = structlog.get_logger()

ALERT_FAILED = "alert.failed"
ALERT_LOST = "alert.lost"

WAITING: Final = 64
"""Alerts that a channel holds."""
PAUSES_S: Final = (2.0, 10.0, 60.0)
"""Waits after tries that failed in a row; the last is that of all further ones."""
KEPT_S: Final = 86_400.0
"""What no try delivered in so long is lost: it may be what the channel never takes."""
_LATE_S: Final = 120.0

Deliver = Callable[[Alert], bool]
"""Sends an alert and returns whether the other side took it. It may block."""


class _Waiting(NamedTuple):
    alert: Alert
    since: float


class AlertChannel:
    """Delivers alerts in a thread of its own; what is not taken is tried again behind the others.

    Of each trouble only the newest word waits, so that an end is never told before its begin.
    """

    def __init__(
        self,
        name: str,
        deliver: Deliver,
        *,
        pauses: Sequence[float] = PAUSES_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread. ``name`` is fit to log; ``now`` is in seconds and never goes back."""
        self.name = name
        self._deliver = deliver
        self._pauses = pauses
        self._now = now
        self._waiting: dict[str, _Waiting] = {}
        """By what is wrong, in the order in which they are tried."""
        self._news = threading.Condition()
        self._closing = threading.Event()
        # A daemon: a channel that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"alerts {name}", daemon=True)
        self._thread.start()

    def offer(self, alert: Alert) -> None:
        """Take an alert; when too many wait the one that matters least is lost."""
        with self._news:
            before = self._waiting.get(alert.key)
            is_full = before is None and len(self._waiting) >= WAITING
            lost = self._crowded_out(alert) if is_full else None
            if lost is not alert:
                said = alert if before is None else _instead_of(before.alert, alert)
                self._waiting[alert.key] = _Waiting(said, self._now())
                self._news.notify()
        if lost is not None:
            self._lost(lost, "too many wait")

    def _crowded_out(self, alert: Alert) -> Alert:
        """Return what there is no room for, taken out if it waited: the newest of the least."""
        waiting = (one.alert for one in reversed(self._waiting.values()))
        least = min(waiting, key=lambda one: one.severity)
        if least.severity >= alert.severity:
            return alert
        del self._waiting[least.key]
        return least

    def close(self, patience_s: float) -> None:
        """Try what waits once more, without waiting between tries, for so long."""
        self._closing.set()
        with self._news:
            self._news.notify()
        self._thread.join(patience_s)

    def _work(self) -> None:
        failed = 0
        while (one := self._next()) is not None:
            if self._try(one, is_told=failed == 0):
                failed = 0
                continue
            self._put_back(one)
            self._closing.wait(self._pauses[min(failed, len(self._pauses) - 1)])
            failed += 1

    def _next(self) -> _Waiting | None:
        """Wait for an alert and take it; None once the channel closes and none waits."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closing.is_set())
            return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    def _put_back(self, one: _Waiting) -> None:
        """Have it tried again behind the others, unless it was for too long, or is the last try."""
        if self._closing.is_set() or self._now() - one.since > KEPT_S:
            self._lost(one.alert, "not taken")
            return
        with self._news:
            newer = self._waiting.pop(one.alert.key, None)
            again = (
                one if newer is None else _Waiting(_instead_of(one.alert, newer.alert), newer.since)
            )
            self._waiting[one.alert.key] = again

    def _try(self, one: _Waiting, *, is_told: bool) -> bool:
        """Return whether an alert was taken; the first failure of a row ``is_told``."""
        problem = "not taken"
        try:
            if self._deliver(_dated(one.alert, self._now() - one.since)):
                return True
        except Exception as error:  # noqa: BLE001 - whatever a plugin throws, the thread lives on
            problem = type(error).__name__
        if is_told:
            log.warning(ALERT_FAILED, channel=self.name, problem=problem)
        return False

    def _lost(self, alert: Alert, why: str) -> None:
        log.warning(ALERT_LOST, channel=self.name, title=alert.title, why=why)


def _instead_of(older: Alert, newer: Alert) -> Alert:
    """Return the newer word on a trouble; of an end also that its begin was never told."""
    if not newer.recovered or older.recovered:
        return newer
    return replace(newer, body=f"{newer.body}\nNot told before: {older.title}: {older.body}")


def _dated(alert: Alert, age_s: float) -> Alert:
    """Return an alert that is late with how late it is."""
    if age_s < _LATE_S:
        return alert
    return replace(alert, body=f"{alert.body}\nThis is {age_s / 60:.0f} minutes old.")


def apprise_delivery(url: str, key: str) -> tuple[str, Deliver]:
    """Return a channel's name and its delivery. Raises ConfigError that does not show the URL.

    ``key`` is where the URL was configured. apprise costs a second to import, so that only a
    keeper with channels pays for it.
    """
    import apprise  # noqa: PLC0415 - see above

    from keeper.telemetry.curt import be_curt  # noqa: PLC0415 - it loads requests

    be_curt()
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

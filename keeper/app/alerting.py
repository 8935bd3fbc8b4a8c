"""The operator's channels, opened for a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from keeper.config.settings import Settings
from keeper.telemetry.alert_rules import AlertTap
from keeper.telemetry.alerts import AlertDesk, Restraint, Severity, reminding
from keeper.telemetry.channels import AlertChannel, apprise_delivery

LAST_WORDS_S = 5.0
"""How long the end of a run waits for its last alerts."""


@contextmanager
def alert_tap(settings: Settings) -> Iterator[AlertTap | None]:
    """Give what alerts the operator of lines of the log, None without channels.

    Raises ConfigError for a URL that is of no known kind; no message shows one.
    """
    wanted = settings.alerts
    if not wanted.urls:
        yield None
        return
    deliveries = [
        apprise_delivery(url.get_secret_value(), f"{settings.path}: alerts.urls.{index}")
        for index, url in enumerate(wanted.urls)
    ]
    channels = [
        AlertChannel(f"{index}:{kind}", deliver) for index, (kind, deliver) in enumerate(deliveries)
    ]
    restraint = Restraint(
        least=Severity[wanted.least.upper()],
        repeat_s=float(wanted.repeat_s),
        most_per_hour=wanted.most_per_hour,
    )
    try:
        desk = AlertDesk(channels, restraint, now=time.monotonic)
        with reminding(desk, restraint.repeat_s):
            yield AlertTap(desk, where=settings.chain.name)
    finally:
        for channel in channels:
            channel.close(LAST_WORDS_S)

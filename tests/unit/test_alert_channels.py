"""A channel that is down: what it is told once it is back, and that nothing stands in the way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs

from keeper.telemetry.alerts import Alert, Severity
from keeper.telemetry.channels import ALERT_FAILED, ALERT_LOST, KEPT_S, WAITING, AlertChannel

PATIENCE_S = 30.0


class Side:
    """The other side of a channel, which takes nothing while it is down."""

    def __init__(self) -> None:
        self.is_down = True
        self.never: set[str] = set()
        self.tries = 0
        self.now = 0.0
        self.taken: list[Alert] = []
        self.moved = threading.Condition()

    def deliver(self, alert: Alert) -> bool:
        with self.moved:
            self.tries += 1
            is_taken = not self.is_down and alert.key not in self.never
            self.taken += [alert] * is_taken
            self.moved.notify_all()
            return is_taken

    def until_tried(self, times: int) -> None:
        with self.moved:
            wanted = self.tries + times
            assert self.moved.wait_for(lambda: self.tries >= wanted, PATIENCE_S)

    def until_taken(self, count: int) -> None:
        with self.moved:
            assert self.moved.wait_for(lambda: len(self.taken) >= count, PATIENCE_S)


@contextmanager
def channel(side: Side) -> Iterator[AlertChannel]:
    made = AlertChannel("a", side.deliver, pauses=(0.0, 0.001), now=lambda: side.now)
    try:
        yield made
    finally:
        made.close(PATIENCE_S)


def alert(key: str, *, recovered: bool = False) -> Alert:
    title = "goes on" if recovered else "is halted"
    return Alert(
        key=key, severity=Severity.CRITICAL, title=title, body=f"why {key}", recovered=recovered
    )


def test_what_was_raised_while_a_channel_was_down_is_told_once_when_it_is_back() -> None:
    side = Side()
    with channel(side) as made, capture_logs() as lines:
        made.offer(alert("halt"))
        side.until_tried(20)
        side.now = 3_600.0
        side.is_down = False
        side.until_taken(1)
    (told,) = side.taken
    assert told.key == "halt"
    assert "60 minutes old" in told.body
    assert [one["event"] for one in lines] == [ALERT_FAILED]


def test_what_a_channel_never_takes_keeps_no_other_alert_from_it() -> None:
    side = Side()
    side.is_down, side.never = False, {"odd"}
    with channel(side) as made:
        made.offer(alert("odd"))
        side.until_tried(8)
        for key in ("halt", "pause"):
            made.offer(alert(key))
        side.until_taken(2)
        side.until_tried(2)
    assert [one.key for one in side.taken] == ["halt", "pause"]


def test_of_what_ended_before_it_could_be_told_the_end_is_told_with_what_it_was() -> None:
    side = Side()
    with channel(side) as made:
        made.offer(alert("halt"))
        side.until_tried(3)
        made.offer(alert("halt", recovered=True))
        side.until_tried(3)
        side.is_down = False
        side.until_taken(1)
    (told,) = side.taken
    assert (told.title, told.body) == ("goes on", "why halt\nNot told before: is halted: why halt")


def test_what_is_not_taken_for_a_day_is_lost_and_so_is_what_does_not_fit() -> None:
    side = Side()
    with channel(side) as made, capture_logs() as lines:
        made.offer(alert("halt"))
        side.until_tried(3)
        side.now = KEPT_S + 1
        side.until_tried(1)
        made.close(PATIENCE_S)
        for index in range(WAITING + 1):
            made.offer(alert(str(index)))
    lost = [(one["title"], one["why"]) for one in lines if one["event"] == ALERT_LOST]
    assert lost == [("is halted", "not taken"), ("is halted", "too many wait")]
    assert side.taken == []

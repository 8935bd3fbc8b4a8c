"""A channel that is down: what it is told once it is back, and that nothing stands in the way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from structlog.testing import capture_logs

from keeper.telemetry import curt
from keeper.telemetry.alerts import Alert, Severity
from keeper.telemetry.channels import (
    ALERT_FAILED,
    ALERT_LOST,
    KEPT_S,
    WAITING,
    AlertChannel,
    apprise_delivery,
)
from tests.support.keeper_process import until

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


def alert(key: str, *, recovered: bool = False, severity: Severity = Severity.CRITICAL) -> Alert:
    title = "goes on" if recovered else "is halted"
    return Alert(key=key, severity=severity, title=title, body=f"why {key}", recovered=recovered)


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


def test_what_matters_less_gives_way_to_a_halt_where_too_many_wait() -> None:
    side = Side()
    made = AlertChannel("a", side.deliver, pauses=(600.0,), now=lambda: side.now)
    with capture_logs() as lines:
        made.offer(alert("first"))
        until(lambda: len(made._waiting) == 1 and side.tries == 1)  # it waits before the next try
        for index in range(WAITING - 1):
            made.offer(alert(str(index), severity=Severity.WARNING))
        for key in ("halt", "pause"):
            made.offer(alert(key))
        made.offer(alert("late", severity=Severity.WARNING))
        side.is_down = False
        made.close(PATIENCE_S)
    lesser = [str(index) for index in range(WAITING - 3)]
    assert [one.key for one in side.taken] == ["first", *lesser, "halt", "pause"]
    assert len([one for one in lines if one["event"] == ALERT_LOST]) == 3


@pytest.mark.parametrize("pause_s", [0.0, 0.01])
def test_an_answer_without_an_end_is_read_no_further_than_it_says_anything(
    pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curt, "LONGEST_S", 0.5)
    sent = 0
    ended = threading.Event()

    class Endless(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal sent
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            part = b"x" * (1 if pause_s else 2**16)
            with suppress(OSError):
                while not ended.wait(pause_s) and sent < 2**29:
                    sent += self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        _, deliver = apprise_delivery(f"json://127.0.0.1:{server.server_port}/", "alerts.urls")
        timer = threading.Timer(10, ended.set)
        timer.start()
        assert deliver(alert("halt"))
        assert not ended.is_set()
        timer.cancel()
        ended.set()
        server.shutdown()
        serving.join()
    assert sent < 2**26

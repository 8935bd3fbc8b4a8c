"""Which alerts are told: once while it lasts, not too many, and when it is over."""

import io
import logging
from contextlib import ExitStack

import pytest
import structlog

from keeper.app.alerting import alert_tap
from keeper.app.log_observer import LIQUIDATION_SETTLED, MARKET_PAUSED, MARKET_RESUMED
from keeper.app.opening import NODE_BACK, NODE_FAILED, tell_the_log
from keeper.app.supervision import CHAIN_FAILED, CHAIN_STARTED, Berth, Supervisor
from keeper.app.switch import HALT_IN_MEMORY, Switch
from keeper.chain.trouble import Trouble
from keeper.commands.run import KEEPER_FAILED, secrets_of
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.executor.breaker import BreakerLimits
from keeper.executor.purse import BALANCE_FELL, BALANCE_RESTORED
from keeper.executor.standing import SENDING_HALTED, SENDING_RESUMED, Standing, Triggers
from keeper.executor.tending import KEY_USED
from keeper.ledger.standing import rearm
from keeper.runtime.clock import SystemClock
from keeper.telemetry.alert_rules import RULES, AlertTap
from keeper.telemetry.alerts import Alert, AlertDesk, Restraint, Severity
from keeper.telemetry.logging import configure_logging
from tests.support.alert_inbox import alert_inbox
from tests.support.ledger_records import opened
from tests.support.settings_files import write_settings

NO_BREAKER = BreakerLimits(
    max_reverts_in_row=None, max_loss_per_day=None, max_wasted_gas_per_hour=None
)


class Person:
    def __init__(self):
        self.heard = []

    def offer(self, alert):
        self.heard.append(alert)


class Time:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def person():
    return Person()


@pytest.fixture
def time():
    return Time()


def desk(person, time, *, least=Severity.WARNING, repeat_s=60.0, most_per_hour=3):
    restraint = Restraint(least=least, repeat_s=repeat_s, most_per_hour=most_per_hour)
    return AlertDesk([person], restraint, now=time)


def alert(key="halt", severity=Severity.CRITICAL, *, recovered=False, lasts=False):
    said = {"title": key, "body": "why", "recovered": recovered, "lasts": lasts}
    return Alert(key=key, severity=severity, **said)


@pytest.fixture
def logged():
    """The process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_trouble_that_lasts_is_told_once_and_again_after_a_while_with_how_often(person, time):
    told = desk(person, time)
    for _ in range(5):
        told.heed(alert())
    assert len(person.heard) == 1
    time.now = 60.0
    told.heed(alert())
    assert len(person.heard) == 2
    assert "4 more of these" in person.heard[1].body


def test_that_it_is_over_is_told_once_and_only_of_what_was_told(person, time):
    told = desk(person, time)
    told.heed(alert(recovered=True))
    assert person.heard == []
    told.heed(alert())
    told.heed(alert(recovered=True))
    told.heed(alert(recovered=True))
    assert [one.recovered for one in person.heard] == [False, True]
    told.heed(alert())
    assert len(person.heard) == 3


def test_what_lasts_is_raised_once_and_told_again_until_it_is_over(person, time):
    told = desk(person, time)
    told.heed(alert(lasts=True))
    told.heed(alert(key="revert"))
    time.now = 59.0
    told.remind()
    assert len(person.heard) == 2
    time.now = 60.0
    told.remind()
    told.remind()
    assert [one.key for one in person.heard[2:]] == ["halt"]
    assert person.heard[2].body == "why\nIt was told before, and is not over."
    told.heed(alert(recovered=True))
    time.now = 600.0
    told.remind()
    assert [one.recovered for one in person.heard[3:]] == [True]


def test_what_was_one_too_many_when_it_came_again_is_told_when_there_is_room(person, time):
    told = desk(person, time)
    for index in range(3):
        told.heed(alert(key=str(index)))
    told.heed(alert(lasts=True))
    told.heed(alert(recovered=True))
    told.heed(alert(lasts=True))
    for _ in range(5):
        told.remind()
    assert [one.key for one in person.heard] == ["0", "1", "2", "halt", "halt"]
    assert person.heard[-1].recovered
    time.now = 3_600.0
    told.remind()
    assert person.heard[-1].key == "halt"
    assert "1 other alerts were not sent" in person.heard[-1].body


def test_however_many_troubles_there_are_a_halt_is_told_at_once(person, time):
    told = desk(person, time, most_per_hour=30)
    for index in range(40):
        told.heed(alert(key=str(index)))
    told.heed(alert(lasts=True))
    assert person.heard[-1].key == "halt"


def test_of_a_chain_that_failed_nothing_else_is_told_again(person, time, logged):
    """What would tell the end of its other troubles is gone; a chain that is up raises them."""
    told = desk(person, time, most_per_hour=9)
    configure_logging(stream=io.StringIO(), tap=AlertTap(told, where="north"))
    log = structlog.get_logger()
    for chain in ("north", "south"):
        log.error(SENDING_HALTED, why="enough", chain=chain)
    log.error(CHAIN_FAILED, why="its node", chain="south")
    time.now = 60.0
    told.remind()
    assert [one.key for one in person.heard[3:]] == ["halt@north", "chain@south"]
    log.error(SENDING_HALTED, why="enough", chain="south")
    time.now = 120.0
    told.remind()
    assert "halt@south" in [one.key for one in person.heard[6:]]


def test_too_many_within_an_hour_are_counted_and_said_with_the_next(person, time):
    told = desk(person, time)
    for _ in range(7):
        told.heed(alert(key="0"))
        told.heed(alert(key="0", recovered=True))
    assert [one.recovered for one in person.heard] == [False, True] * 3
    time.now = 3_600.0
    told.heed(alert(key="8"))
    assert "4 other alerts were not sent" in person.heard[-1].body


def test_what_matters_less_keeps_nothing_out_that_matters_more(person, time):
    """A balance that goes to and fro across its floor is told of each time."""
    told = desk(person, time)
    for _ in range(5):
        told.heed(alert(key="balance", severity=Severity.WARNING))
        told.heed(alert(key="balance", severity=Severity.WARNING, recovered=True))
    told.heed(alert(key="halt"))
    assert person.heard[-1].key == "halt"
    assert "2 other alerts were not sent" in person.heard[-1].body


def test_what_comes_and_goes_without_end_keeps_no_halt_out(person, time):
    """Chains that fail and are opened again, in turns, are as grave as a halt."""
    told = desk(person, time, most_per_hour=9)
    for _ in range(20):
        for key in ("chain@a", "chain@b"):
            told.heed(alert(key=key))
            told.heed(alert(key=key, recovered=True))
    troubles = [one.key for one in person.heard if not one.recovered]
    assert troubles.count("chain@a") + troubles.count("chain@b") == 9
    for _ in range(3):
        told.heed(alert(key="halt"))
        assert person.heard[-1].key == "halt"
        told.heed(alert(key="halt", recovered=True))
    told.heed(alert(key="chain@a"))
    assert person.heard[-1].key == "halt"


def test_of_many_that_come_and_go_each_has_the_part_that_was_even_when_it_came_or_one(person, time):
    told = desk(person, time, most_per_hour=9)
    for key in "abcdefghijklmnopqrstuvwxyz":
        for _ in range(20):
            told.heed(alert(key=key))
            told.heed(alert(key=key, recovered=True))
    keys = [one.key for one in person.heard if not one.recovered]
    assert [keys.count(one) for one in "abcdefghij"] == [9, 4, 3, 2, 1, 1, 1, 1, 1, 1]
    assert len(keys) == 40


def test_what_matters_less_than_wanted_is_not_told(person, time):
    told = desk(person, time, least=Severity.CRITICAL)
    told.heed(alert(severity=Severity.WARNING))
    assert person.heard == []


def test_every_rule_is_of_an_event_that_is_logged():
    assert set(RULES) == {
        SENDING_HALTED,
        SENDING_RESUMED,
        HALT_IN_MEMORY,
        MARKET_PAUSED,
        MARKET_RESUMED,
        KEY_USED,
        BALANCE_FELL,
        BALANCE_RESTORED,
        LIQUIDATION_SETTLED,
        NODE_FAILED,
        NODE_BACK,
        CHAIN_FAILED,
        CHAIN_STARTED,
        KEEPER_FAILED,
    }
    assert {rule.key for rule in RULES.values() if rule.recovered} <= {
        rule.key for rule in RULES.values() if not rule.recovered
    }


def test_the_same_trouble_on_two_chains_is_two_alerts_each_with_its_chain(person, time, logged):
    configure_logging(stream=io.StringIO(), tap=AlertTap(desk(person, time), where="one"))
    log = structlog.get_logger()
    for chain in ("north", "south", "south"):
        log.error(SENDING_HALTED, why="enough", chain=chain)
    assert [one.title for one in person.heard] == [
        "Keeper on north: sending is halted",
        "Keeper on south: sending is halted",
    ]


async def test_the_kill_switch_of_all_chains_is_told_of_each_until_that_one_goes_on(
    person, time, logged, tmp_path
):
    configure_logging(
        stream=io.StringIO(), tap=AlertTap(desk(person, time, most_per_hour=9), where="north")
    )
    names, triggers = ("north", "south"), Triggers(breaker=NO_BREAKER, halt_file=None)
    databases = [tmp_path / name / "keeper.sqlite" for name in names]
    journals = [await opened(one.parent) for one in databases]
    switches = [Switch(one, SystemClock()) for one in databases]
    berths = [
        Berth(name=name, open=None, halt=one.halt)
        for name, one in zip(names, switches, strict=True)
    ]
    standings = [Standing(one, triggers, now=SystemClock().now) for one in journals]
    with ExitStack() as stack:
        for switch, standing in zip(switches, standings, strict=True):
            await standing.review()
            stack.enter_context(switch.over(standing))
        Supervisor(berths, clock=SystemClock()).halt("kill switch: signal SIGUSR1")
    assert [one.key for one in person.heard] == ["halt@north", "halt@south"]
    with structlog.contextvars.bound_contextvars(chain="south"):  # as in all that runs for it
        await standings[1].review()
        rearm(databases[1], now=int(SystemClock().now()))
        await standings[1].review()
    assert [(one.key, one.recovered) for one in person.heard[2:]] == [("halt@south", True)]
    for journal in journals:
        await journal.close()


def test_a_line_that_is_not_written_is_heard_all_the_same(person, time, logged):
    out = io.StringIO()
    tap = AlertTap(desk(person, time), where="local")
    configure_logging(level="error", form="json", stream=out, tap=tap)
    log = structlog.get_logger()
    log.info(LIQUIDATION_SETTLED, status="landed")
    log.info(LIQUIDATION_SETTLED, status="reverted", plan="p")
    log.debug(SENDING_HALTED)
    assert [one.title for one in person.heard] == ["Keeper on local: a liquidation reverted"]
    assert "plan: p" in person.heard[0].body
    assert out.getvalue() == ""


def test_no_alert_holds_what_the_log_would_hide(person, time, logged):
    canary = "c0ffee" * 10 + "c0de"
    tap = AlertTap(desk(person, time), where="local")
    configure_logging(stream=io.StringIO(), secrets=[canary], tap=tap)
    error = ValueError(canary)
    why, raw = f"key {canary}", "0x" + "ab" * 99
    structlog.get_logger().error(SENDING_HALTED, why=why, raw=raw, exc_info=error)
    said = person.heard[0].body
    assert canary not in said
    assert "abab" not in said
    assert "Traceback" not in said


def test_a_market_of_each_deployment_is_a_trouble_of_its_own(person, time, logged):
    configure_logging(stream=io.StringIO(), tap=AlertTap(desk(person, time), where="local"))
    log = structlog.get_logger()
    log.error(MARKET_PAUSED, deployment="a", why="drift")
    log.error(MARKET_PAUSED, deployment="b", why="drift")
    log.warning(MARKET_RESUMED, deployment="b")
    assert [(one.key, one.recovered) for one in person.heard] == [
        ("pause:a", False), ("pause:b", False), ("pause:b", True),
    ]  # fmt: skip


def test_each_node_that_is_gone_is_a_trouble_of_its_own_until_it_is_back(person, time, logged):
    tap = AlertTap(desk(person, time, most_per_hour=9), where="local")
    configure_logging(stream=io.StringIO(), tap=tap)
    for trouble, node in (
        (Trouble.GONE, "a"), (Trouble.GONE, "b"), (Trouble.STALLED, ""), (Trouble.BACK, "a"),
        (Trouble.RESUMED, ""), (Trouble.BACK, ""), (Trouble.GONE, "a"),
    ):  # fmt: skip
        tell_the_log(trouble, "why", node)
    assert [(one.key, one.recovered) for one in person.heard] == [
        ("node:a", False), ("node:b", False), ("node:", False), ("node:a", True),
        ("node:", True), ("node:a", False),
    ]  # fmt: skip
    assert {one.title for one in person.heard if one.recovered} == {
        "Keeper on local: a node is back"
    }


def test_a_configured_channel_is_told_and_its_url_is_in_no_line(tmp_path, monkeypatch, logged):
    out = io.StringIO()
    with alert_inbox() as inbox:
        monkeypatch.setenv("KEEPER_ALERTS__URLS", inbox.url)
        settings = load(write_settings(tmp_path))
        assert "canary" not in repr(settings)
        with alert_tap(settings) as tap:
            configure_logging(stream=out, secrets=secrets_of([settings]), tap=tap)
            inbox.status = 500
            structlog.get_logger().error(SENDING_HALTED, why="a person")
            structlog.get_logger().error("url.shown", text=f"to {inbox.url} and slack://To/ken/x")
        assert inbox.asked >= 1
        inbox.status = 200
        with alert_tap(settings) as tap:
            configure_logging(stream=out, secrets=secrets_of([settings]), tap=tap)
            structlog.get_logger().error(SENDING_HALTED, why="a person")
        assert inbox.titles == ["Keeper on ethereum: sending is halted"]
        assert inbox.taken[0]["message"] == "why: a person"
    assert "alert.lost" in out.getvalue()
    assert "canary" not in out.getvalue()
    assert "slack" not in out.getvalue()


def test_a_url_of_no_known_kind_is_refused_without_being_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPER_ALERTS__URLS", "nosuchkind://canary")
    with pytest.raises(ConfigError) as found, alert_tap(load(write_settings(tmp_path))):
        pass
    assert "alerts.urls.0" in str(found.value)
    assert "canary" not in str(found.value)


def test_a_url_written_in_the_file_is_refused(tmp_path):
    path = write_settings(tmp_path, alerts={"urls": ["json://127.0.0.1/canary"]})
    with pytest.raises(ConfigError) as found:
        load(path)
    assert "alerts.urls: expected ${NAME}" in str(found.value)
    assert "canary" not in str(found.value)


def test_a_url_from_a_secret_file_is_taken(tmp_path, monkeypatch):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "my_alerts").write_text("json://127.0.0.1/a json://127.0.0.1/b\n", "utf-8")
    monkeypatch.setenv("KEEPER_SECRETS_DIR", str(secrets))
    settings = load(write_settings(tmp_path, alerts={"urls": "${MY_ALERTS}"}))
    assert len(settings.alerts.urls) == 2

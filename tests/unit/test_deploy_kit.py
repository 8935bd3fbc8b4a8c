"""The kit of ``deploy`` is about the keeper that there is: its metrics, its keys, its routes."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from keeper.chain.endpoint import parse_endpoint
from keeper.commands.arming import arming
from keeper.config.settings import Settings, load
from keeper.core.errors import ConfigError
from keeper.core.lending import Reason
from keeper.core.plan import Status
from keeper.core.tick import STAGES, Rung, Tick
from keeper.core.units import Address
from keeper.telemetry.metrics import Stopwatch
from keeper.telemetry.tallies import Tallies
from keeper.telemetry.web import Endpoint, serving
from tests.support.ledger_records import ended, plan

ROOT = Path(__file__).parents[2]
KIT = ROOT / "deploy"
COMPOSE = yaml.safe_load((KIT / "compose.yaml").read_text("utf-8"))
LIVE = yaml.safe_load((KIT / "compose.live.yaml").read_text("utf-8"))
PROMETHEUS = yaml.safe_load((KIT / "prometheus.yml").read_text("utf-8"))
RULES = [
    rule
    for group in yaml.safe_load((KIT / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((KIT / "grafana/dashboards/keeper.json").read_text("utf-8"))

ADDED_BY_PROMETHEUS = {"up": {"instance", "job"}, "ALERTS": {"alertname", "alertstate", "severity"}}
"""Series, and the labels that every series has beside its own."""
VALUES = {
    "reason": {one.value for one in Reason},
    "status": {one.value for one in Status},
    "rung": {one.value for one in Rung},
    "stage": set(STAGES),
}
OPERATORS = {"and", "or", "unless", "by", "without", "on", "ignoring", "offset", "bool"}
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Every series that a keeper which did everything exposes, with its labels."""
    registry = CollectorRegistry()
    tallies, tick = Tallies(registry), Tick()
    tallies.mirrored("a", 7, 7)
    tallies.under("a", 1)
    tallies.paused("a", is_paused=True)
    for count in (tallies.skipped, tallies.foreseen, tallies.shown):
        count("a")
    tallies.balances({Address("0xa"): 1}, least=1)
    tallies.node("wss://a", is_usable=True, is_active=True, block=7)
    tallies.sent("a", "mempool")
    tallies.rejected("a", Reason.POLICY.value)
    tallies.settled(ended(plan(), Status.REVERTED, gas=1))
    tick.mark("plan")
    Stopwatch(registry).record(tick)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels, {"instance", "job"})
    return found | ADDED_BY_PROMETHEUS


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    yield from (one["expr"] for one in DASHBOARD["annotations"]["list"])


def looked_up() -> Iterator[tuple[str, str]]:
    """The series and the label of each of the dashboard's variables."""
    for one in DASHBOARD["templating"]["list"]:
        ((name, label),) = re.findall(r"^label_values\((\w+), (\w+)\)$", one["query"]["query"])
        yield name, label


def series(expression: str) -> set[str]:
    """The names of series in an expression of PromQL."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", " ", expression)
    bare = re.sub(r"\boffset\s+\w+", " ", GROUPING.sub(" ", bare))
    return set(re.findall(r"\b[A-Za-z_][\w:]*\b(?!\s*\()", bare)) - OPERATORS


def wrong_in(expression: str, exposed: dict[str, set[str]]) -> list[str]:
    """What an expression names that no keeper exposes: series, labels and values of labels."""
    wrong = sorted(series(expression) - set(exposed))
    of_all = {label for name in series(expression) for label in exposed.get(name, ())}
    grouped = {one.strip() for group in GROUPING.findall(expression) for one in group.split(",")}
    wrong += sorted(grouped - of_all)
    for name, matchers in SELECTOR.findall(expression):
        for label, value in MATCHER.findall(matchers):
            if label not in exposed.get(name, ()):
                wrong.append(f"{name}{{{label}}}")
            if not value.startswith("$"):
                known = VALUES.get(label, {*value.split("|")})
                wrong += sorted({*value.split("|")} - known)
    return wrong


def test_every_series_label_and_value_is_one_that_a_keeper_exposes(
    exposed: dict[str, set[str]],
) -> None:
    named = list(expressions())
    assert len(named) > 40
    assert [(one, wrong) for one in named if (wrong := wrong_in(one, exposed))] == []
    assert [(name, label) for name, label in looked_up() if label not in exposed[name]] == []


def test_every_series_that_a_keeper_exposes_is_drawn_or_ruled_on(
    exposed: dict[str, set[str]],
) -> None:
    named = {name for one in expressions() for name in series(one)}
    bare = {re.sub(r"_(created|bucket|sum|count|total)$", "", name) for name in named}
    kept = {re.sub(r"_(created|bucket|sum|count|total)$", "", name) for name in exposed}
    assert kept - bare == set()


def test_a_series_a_label_and_a_value_that_are_not_are_found_out(
    exposed: dict[str, set[str]],
) -> None:
    assert wrong_in("rate(keeper_sends_total[5m]) > 0", exposed) == ["keeper_sends_total"]
    assert wrong_in("sum by (chain) (keeper_halted)", exposed) == ["chain"]
    assert wrong_in('keeper_halted{lane="x"} == 1', exposed) == ["keeper_halted{lane}"]
    assert wrong_in('keeper_settled_total{status="lost"}', exposed) == ["lost"]


def test_every_rule_is_tried_and_has_an_entry_of_the_runbook() -> None:
    runbook = (ROOT / "docs/operations.md").read_text("utf-8")
    headings = re.findall(r"^#+ (\w+)$", runbook, re.MULTILINE)
    tried = set(re.findall(r'alertname[=:]"?(\w+)', (KIT / "alerts.test.yml").read_text("utf-8")))
    names = [rule["alert"] for rule in RULES]
    assert sorted(names) == sorted(set(names))
    assert set(names) - set(headings) == set()
    assert set(names) - tried == set()
    for rule in RULES:
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_every_image_is_pinned_and_every_service_is_hardened() -> None:
    for name, service in COMPOSE["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
    assert int(COMPOSE["services"]["keeper"]["user"]) > 0


def test_the_live_file_adds_the_key_and_loosens_nothing() -> None:
    (service,) = LIVE["services"].values()
    assert set(service) == {"command", "environment", "secrets"}
    assert set(service["secrets"]) - set(COMPOSE["services"]["keeper"]["secrets"]) == {
        "keystore.json",
        "keystore_password",
    }


def mounted(service: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Each mount of a file or folder of ours, with where it is put."""
    for volume in service.get("volumes", []):
        source, target, *_ = volume.split(":")
        if source.startswith("."):
            yield (KIT / source).resolve(), target


def test_what_is_mounted_is_there_and_is_where_it_is_looked_for() -> None:
    places = {
        target: source for one in COMPOSE["services"].values() for source, target in mounted(one)
    }
    assert [source for source in places.values() if not source.exists()] == []
    provider = yaml.safe_load((KIT / "grafana/provisioning/dashboards/keeper.yml").read_text())
    assert provider["providers"][0]["options"]["path"] in places
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]
    assert {"/etc/prometheus/prometheus.yml", "/etc/prometheus/alerts.yml"} <= set(places)


def test_every_panel_asks_the_provisioned_source() -> None:
    path = KIT / "grafana/provisioning/datasources/prometheus.yml"
    (source,) = yaml.safe_load(path.read_text("utf-8"))["datasources"]
    asked = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    asked |= {one["datasource"]["uid"] for one in DASHBOARD["templating"]["list"]}
    assert asked == {source["uid"]}
    host, port = source["url"].removeprefix("http://").split(":")
    assert f"127.0.0.1:{port}:{port}" in COMPOSE["services"][host]["ports"]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What the secret files of both compose files would hold."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, about in (COMPOSE["secrets"] | LIVE["secrets"]).items():
        assert about["file"] == f"secrets/{name}"
        (folder / name).touch()
    (folder / "keeper_rpc_ethereum").write_text("wss://node.example/canary\n", "utf-8")
    return folder


def read_as(environment: dict[str, str], secrets: Path, patch: pytest.MonkeyPatch) -> Settings:
    """The settings of the mounted configuration under a service's environment."""
    for name, value in environment.items():
        patch.setenv(name, value)
    patch.setenv("KEEPER_SECRETS_DIR", str(secrets))
    command = COMPOSE["services"]["keeper"]["command"]
    folder = next(source for source, target in mounted(COMPOSE["services"]["keeper"]))
    return load(folder / Path(command[command.index("-c") + 1]).name)


def test_the_keeper_reads_the_kits_keys_as_the_kit_means_them(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = COMPOSE["services"]["keeper"]
    settings = read_as(service["environment"], secrets, monkeypatch)
    assert settings.mode == "observe"
    assert settings.chain.rpc == (parse_endpoint("wss://node.example/canary"),)
    assert settings.database == Path("/data/keeper.sqlite")
    assert settings.sending.halt_file == Path("/data/HALT")
    assert "keeper-data:/data" in service["volumes"]
    assert settings.http.host == "0.0.0.0"  # noqa: S104 - of the container
    assert service["ports"] == [f"127.0.0.1:{settings.http.port}:{settings.http.port}"]
    (job,) = PROMETHEUS["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"keeper:{settings.http.port}"]}]
    assert int(service["stop_grace_period"].removesuffix("s")) > settings.limits.deadline_s


def test_the_live_file_arms_for_the_confirmed_chain_with_the_key_of_its_secrets(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"KEEPER_EXECUTOR": "0x" + "0e" * 20, "KEEPER_CONFIRM_LIVE_CHAIN_ID": "1"}
    service = LIVE["services"]["keeper"]
    asked = service["environment"]
    assert [name for name, value in asked.items() if "${" in value] == list(given)
    environment = COMPOSE["services"]["keeper"]["environment"] | asked | given
    settings = read_as(environment, secrets, monkeypatch)
    assert arming(settings, environment, arm="--arm" in service["command"]) is not None
    paths = {*settings.operator.keystore, settings.operator.password_file}
    mounts = {Path("/run/secrets") / name for name in service["secrets"]}
    assert paths == mounts & paths
    assert len(paths) == 2


def test_an_empty_secret_of_the_node_is_refused(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "keeper_rpc_ethereum").write_text("", "utf-8")
    monkeypatch.delenv("KEEPER_RPC_ETHEREUM", raising=False)
    with pytest.raises(ConfigError, match=r"rpc\.0: expected the URL of a node"):
        read_as(COMPOSE["services"]["keeper"]["environment"], secrets, monkeypatch)


def test_the_rules_on_money_are_half_of_the_shipped_limits(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_as({}, secrets, monkeypatch)
    bounds = {
        rule["alert"]: round(float(re.split("[<>]", rule["expr"])[1]) * 10**18)
        for rule in RULES
        if rule["alert"] in {"KeeperGasHourHigh", "KeeperGasDayHigh", "KeeperLosing"}
    }
    assert bounds == {
        "KeeperGasHourHigh": settings.limits.max_gas_per_hour_wei // 2,
        "KeeperGasDayHigh": settings.limits.max_gas_per_day_wei // 2,
        "KeeperLosing": -settings.sending.breaker.max_loss_per_day_wei // 2,
    }


class Watched:
    """A keeper that answers as it is told."""

    def __init__(self) -> None:
        self.stalls: list[str] = []

    def stalled(self) -> list[str]:
        return self.stalls

    def unready(self) -> list[str]:
        return []

    def measure(self) -> None:
        """Nothing to bring up to date."""

    async def status(self) -> dict[str, object]:
        return {}

    def halt(self, why: str) -> None:
        raise AssertionError(why)


async def checked(port: int | None) -> tuple[int, str]:
    """How the image's HEALTHCHECK ends, and what it prints."""
    image = (ROOT / "Dockerfile").read_text("utf-8")
    (line,) = re.findall(r"^HEALTHCHECK .*?CMD (\[.*\])$", image, re.MULTILINE)
    _, *arguments = json.loads(line)
    environment = {name: value for name, value in os.environ.items() if "KEEPER" not in name}
    if port is not None:
        environment["KEEPER_HTTP__PORT"] = str(port)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stdout=-1, stderr=-1
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_the_images_health_check_is_what_healthz_says() -> None:
    watched = Watched()
    endpoint = Endpoint(host="127.0.0.1", port=0, token=None, key="http.port")
    async with serving(endpoint, watched, CollectorRegistry()) as port:
        assert (await checked(port))[0] == 0
        watched.stalls = ["a: no block was mirrored for 99 s"]
        code, said = await checked(port)
        assert code == 1
        assert "no block was mirrored" in said
    assert (await checked(port))[0] == 1
    assert (await checked(None))[0] == 0

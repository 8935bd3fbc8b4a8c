"""The kit of ``deploy`` is about the keeper that there is: its services, keys, limits, routes."""

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
from prometheus_client import CollectorRegistry

from keeper.chain.endpoint import parse_endpoint
from keeper.commands.arming import arming
from keeper.config.settings import Settings, load
from keeper.core.errors import ConfigError
from keeper.telemetry.web import Endpoint, serving
from tests.support.deploy_kit import DASHBOARD, KIT, ROOT, RULES

COMPOSE = yaml.safe_load((KIT / "compose.yaml").read_text("utf-8"))
LIVE = yaml.safe_load((KIT / "compose.live.yaml").read_text("utf-8"))
PROMETHEUS = yaml.safe_load((KIT / "prometheus.yml").read_text("utf-8"))


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

"""Aggregators in a chain file: off unless named, bounded, and their keys never shown."""

from copy import deepcopy

import pytest
import yaml

from keeper.app.aggregators import offer_desk
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from tests.support.settings_files import write_settings

CANARY = "canary0123456789"
ROUTER = "0x1111111111111111111111111111111111111111"
ONE = {"kind": "zero_x", "url": "https://api.example", "targets": [ROUTER], "spenders": [ROUTER]}


def loaded(folder, *changes):
    root = write_settings(folder)
    path = root.parent / "chains" / "ethereum.yaml"
    content = yaml.safe_load(path.read_text("utf-8")) | {
        "aggregators": [deepcopy(ONE) | one for one in changes]
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return load(root)


async def test_nobody_is_asked_unless_named(tmp_path):
    settings = load(write_settings(tmp_path))
    assert settings.chain.aggregators == ()
    async with offer_desk(settings) as desk:
        assert desk is None


async def test_each_one_named_is_asked_as_it_is_configured(tmp_path):
    kinds = ("zero_x", "one_inch", "paraswap", "odos")
    settings = loaded(tmp_path, *({"kind": kind, "min_gain_bps": 7} for kind in kinds))
    async with offer_desk(settings) as desk:
        assert tuple(one.name for one in desk.members) == kinds
        for one in desk.members:
            assert one.allowed.targets == one.allowed.spenders == {ROUTER}
            assert (one.chain_id, one.deadline_ms, one.least_gain_bps) == (1, 400, 7)


def test_a_key_comes_from_the_environment_and_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", CANARY)
    found = loaded(tmp_path, {"api_key_env": "A_KEY", "url": f"https://h/{CANARY}"})
    (one,) = found.chain.aggregators
    assert one.api_key_env.get_secret_value() == CANARY
    assert CANARY not in f"{found} {found!r} {found.chain} {one!r}"


@pytest.mark.parametrize(
    "change",
    [
        {"api_key_env": CANARY},
        {"url": f"ftp://{CANARY}/"},
        {"url": f"wss://{CANARY}/"},
        {"targets": []},
        {"spenders": []},
        {"targets": ["0x12"]},
        {"deadline_ms": 0},
        {"kind": "another"},
    ],
)
def test_a_bad_value_is_refused_by_its_key_without_secrets(tmp_path, change):
    with pytest.raises(ConfigError) as refusal:
        loaded(tmp_path, change)
    said = str(refusal.value)
    assert "ethereum.yaml" in said
    assert f"aggregators.0.{next(iter(change))}" in said
    assert CANARY not in said


def test_an_aggregator_stands_there_once(tmp_path):
    with pytest.raises(ConfigError, match="each aggregator once"):
        loaded(tmp_path, {}, {})

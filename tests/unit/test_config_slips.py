"""Slips in a configuration that look as if they held, and would not."""

import pytest

from keeper.config.fleet import load_fleet
from keeper.core.errors import ConfigError
from tests.support.settings_files import write_settings


def complaint(root) -> str:
    with pytest.raises(ConfigError) as caught:
        load_fleet(root)
    return str(caught.value)


def added(path, text):
    path.write_text(path.read_text("utf-8") + text, "utf-8")


@pytest.mark.parametrize("slip", ["Limits", "LIMITS", "Alerts", "Mode"])
def test_a_key_of_the_root_file_in_other_case_is_unknown(tmp_path, slip):
    root = write_settings(tmp_path)
    added(root, f"{slip}: {{}}\n")
    assert complaint(root).endswith(f"unknown key '{slip}'; did you mean '{slip.lower()}'?")


def test_a_key_of_a_chains_file_in_other_case_is_unknown(tmp_path):
    root = write_settings(tmp_path)
    added(root.parent / "chains" / "ethereum.yaml", "Quorum: 1\n")
    assert complaint(root).endswith("unknown key 'Quorum'; did you mean 'quorum'?")


@pytest.mark.parametrize("host", ["", " ", None, 3, "two words"])
def test_a_host_to_listen_on_is_never_nothing(tmp_path, host):
    root = write_settings(tmp_path, http={"port": 9464, "host": host})
    assert "http.host: expected a host name or an IP address, found" in complaint(root)


def test_a_host_that_the_environment_leaves_empty_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPER_HTTP__HOST", "")
    assert "http.host: expected a host name" in complaint(write_settings(tmp_path))


def test_a_node_that_is_named_twice_is_no_quorum(tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPER_CHAIN_RPC", "wss://one/canary, wss://one/canary")
    monkeypatch.setenv("KEEPER_CHAIN_QUORUM", "2")
    found = complaint(write_settings(tmp_path))
    assert "environment KEEPER_CHAIN_RPC: rpc: expected each node once, found" in found
    assert "canary" not in found

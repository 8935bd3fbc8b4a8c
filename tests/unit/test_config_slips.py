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


SLIPS = [
    ("KEEPER_LIMITS_MAX_GAS_PER_DAY_WEI", "KEEPER_LIMITS__MAX_GAS_PER_DAY_WEI"),
    ("KEEPER_LIMIT__MAX_GAS_PER_DAY_WEI", "KEEPER_LIMITS__MAX_GAS_PER_DAY_WEI"),
    ("KEEPER_SENDING_HALT_FILE", "KEEPER_SENDING__HALT_FILE"),
    ("KEEPER_SENDING_BREAKER__MAX_HEAD_GAP_S", "KEEPER_SENDING__BREAKER__MAX_HEAD_GAP_S"),
    ("KEEPER_CHAIN__QUORUM", "KEEPER_CHAIN_QUORUM"),
    ("KEEPER_CHAIN_SEQUENCER_GRACE_S", "KEEPER_CHAIN_SEQUENCER__GRACE_S"),
]


@pytest.mark.parametrize(("slip", "meant"), SLIPS)
def test_a_variable_that_means_a_key_and_does_not_reach_it_is_refused(
    tmp_path, monkeypatch, slip, meant
):
    monkeypatch.setenv(slip, "canary")
    found = complaint(write_settings(tmp_path))
    assert found.startswith(f"environment {slip}: expected {meant}, for no key is called")
    assert "canary" not in found


def test_a_secret_file_that_means_a_key_and_does_not_reach_it_is_refused(tmp_path, monkeypatch):
    root = write_settings(tmp_path)
    (tmp_path / "keeper_operator_keystore").write_text("canary", "utf-8")
    monkeypatch.setenv("KEEPER_SECRETS_DIR", str(tmp_path))
    assert "expected KEEPER_OPERATOR__KEYSTORE" in complaint(root)


@pytest.mark.parametrize(
    "name", ["KEEPER_RPC__MAINNET", "KEEPER_ALERT_URLS", "KEEPER_HALT_TOKEN", "KEEPER_SOMETHING"]
)
def test_what_may_stand_for_a_name_in_a_file_is_called_as_it_likes(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "anything")
    assert load_fleet(write_settings(tmp_path)).chains


@pytest.mark.parametrize("host", ["", " ", None, 3, "two words"])
def test_a_host_to_listen_on_is_never_nothing(tmp_path, host):
    root = write_settings(tmp_path, http={"port": 9464, "host": host})
    assert "http.host: expected a host name or an IP address, found" in complaint(root)


def test_a_host_that_the_environment_leaves_empty_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPER_HTTP__HOST", "")
    assert "http.host: expected a host name" in complaint(write_settings(tmp_path))


@pytest.mark.parametrize(
    "again",
    ["wss://one/canary", "wss://one/canary/", "WSS://One/canary", "wss://one:443/canary"],
)
def test_a_node_that_is_named_twice_is_no_quorum(tmp_path, monkeypatch, again):
    monkeypatch.setenv("KEEPER_CHAIN_RPC", f"wss://one/canary, {again}")
    monkeypatch.setenv("KEEPER_CHAIN_QUORUM", "2")
    found = complaint(write_settings(tmp_path))
    assert "environment KEEPER_CHAIN_RPC: rpc: expected each node once, found" in found
    assert "canary" not in found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("wss://one/v2/aKey", "wss://one/v2/AKey"),
        ("wss://one/?key=aKey", "wss://one/?key=akey"),
        ("wss://me:aKey@one", "wss://me:akey@one"),
        ("ipc:/run/node.ipc", "ipc:/run/Node.ipc"),
        ("wss://one", "wss://one:8546"),
    ],
)
def test_nodes_that_only_case_tells_apart_are_two(tmp_path, monkeypatch, one, other):
    monkeypatch.setenv("KEEPER_CHAIN_RPC", f"{one}, {other}")
    (chain,) = load_fleet(write_settings(tmp_path)).chains
    assert len(chain.chain.rpc) == 2


def test_nodes_of_one_host_have_labels_of_their_own(tmp_path, monkeypatch):
    """Health, metrics and turns are remembered by them."""
    monkeypatch.setenv("KEEPER_CHAIN_RPC", "wss://one/a, wss://two/a, wss://one/b, wss://one/c")
    (chain,) = load_fleet(write_settings(tmp_path)).chains
    labels = ["wss://one", "wss://two", "wss://one (2)", "wss://one (3)"]
    assert [one.label for one in chain.chain.rpc] == labels


def test_builders_are_a_list_or_a_text_with_commas(tmp_path, monkeypatch):
    root = write_settings(tmp_path, sending={"lane": "builders"})
    monkeypatch.setenv("BUILDERS", "https://one/canary, https://two")
    lane = "lanes:\n  - {kind: bundle, name: builders, rpc: '${BUILDERS}'}\n"
    added(root.parent / "chains" / "ethereum.yaml", lane)
    (chain,) = load_fleet(root).chains
    assert [one.label for one in chain.chain.lanes[0].rpc] == ["https://one", "https://two"]


def test_lists_of_the_other_files_may_be_texts_as_well(tmp_path):
    root = write_settings(tmp_path, protocols="protocols/morpho_blue.ethereum.yaml")
    files = root.parent / "chains" / "ethereum.yaml", root.parent / "protocols"
    chain = files[0].read_text("utf-8").replace("[100, 500, 3000, 10000]", '"100, 500"')
    files[0].write_text(chain, "utf-8")
    one, two = "0x" + "11" * 20, "0x" + "22" * 20
    added(files[0], f"unwind:\n  - {{kind: erc4626, token: '{one}', holders: '{one}, {two}'}}\n")
    path = files[1] / "morpho_blue.ethereum.yaml"
    text = path.read_text("utf-8").replace("oracles: []", f"oracles: '{one}, {two}'")
    path.write_text(text, "utf-8")
    (chain,) = load_fleet(root).chains
    assert chain.chain.venues[0].fee_tiers == (100, 500)
    assert chain.chain.unwind[0].holders == (one, two)
    assert chain.deployments[0].parameters.oracles == (one, two)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("confirm_dangerous", 3, "confirm_dangerous: expected a list, found 3"),
        (
            "sending",
            {"backrun": "perhaps"},
            "sending.backrun: expected true or false, found 'perhaps'",
        ),
    ],
)
def test_what_was_expected_is_said_in_words_of_the_file(tmp_path, key, value, said):
    assert complaint(write_settings(tmp_path, **{key: value})).endswith(said)


def test_a_breaker_that_trips_between_any_two_blocks_is_refused(tmp_path):
    root = write_settings(tmp_path, sending={"breaker": {"max_head_gap_s": 12}})
    assert complaint(root).endswith(
        "sending.breaker.max_head_gap_s: expected more than block_time_s of "
        "chains/ethereum.yaml, 12, or 0 for no limit, found 12"
    )


@pytest.mark.parametrize("gap_s", [0, 13])
def test_a_breaker_that_outlasts_a_block_or_is_off_is_taken(tmp_path, gap_s):
    root = write_settings(tmp_path, sending={"breaker": {"max_head_gap_s": gap_s}})
    (chain,) = load_fleet(root).chains
    assert chain.sending.breaker.max_head_gap_s == gap_s


def test_blocks_whose_time_is_their_own_may_come_sooner(tmp_path):
    root = write_settings(tmp_path, sending={"breaker": {"max_head_gap_s": 1}})
    added(root.parent / "chains" / "ethereum.yaml", "follows_wall_clock: false\n")
    (chain,) = load_fleet(root).chains
    assert chain.sending.breaker.max_head_gap_s == 1

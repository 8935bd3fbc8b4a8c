"""A wrong configuration: each message says where, which key, what was expected and found."""

import os
import shutil
from pathlib import Path

import pytest

from keeper.config.settings import load
from keeper.core.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No setting of the machine that the test runs on reaches it."""
    for name in list(os.environ):
        if name.startswith("KEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A copy of the shipped configuration, loaded as ``config/keeper.yaml``."""
    shutil.copytree(SHIPPED, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return Path("config")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is in {path} {text.count(old)} times"
    path.write_text(text.replace(old, new))


def complaint(config: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(config / "keeper.yaml")
    return str(caught.value)


KEEPER = "keeper.yaml"
CHAIN = "chains/ethereum.yaml"
PROTOCOL = "protocols/aave_v3.ethereum.yaml"

GOLDEN = [
    (KEEPER, "max_gas_price_wei: 150 gwei", "max_gas_price_wei: 150",
     ("config/keeper.yaml:26: limits.max_gas_price_wei: expected at least 11/10 of "
     "priority_fee_wei of chains/ethereum.yaml, 1100000000, found 150; a number without a unit is "
     "wei")),
    (KEEPER, "max_gas_per_tx_wei: 0.1 ether", "max_gas_per_tx_wei: 0.1 gwei",
     ("config/keeper.yaml:27: limits.max_gas_per_tx_wei: expected at least 21,000 gas at "
     "priority_fee_wei of chains/ethereum.yaml, 21000000000000, found 100000000; a number "
     "without a unit is wei")),
    (KEEPER, "max_gas_price_wei: 150 gwei", "max_gas_price_wei: 1099999999",
     ("config/keeper.yaml:26: limits.max_gas_price_wei: expected at least 11/10 of "
     "priority_fee_wei of chains/ethereum.yaml, 1100000000, found 1099999999")),
    (KEEPER, "http:\n  port:\n  host: 127.0.0.1", "http: 9464",
     "config/keeper.yaml:55: http: expected keys and values, found 9464"),
    (KEEPER, "audit:\n  sample: 50\n  every_blocks: 5", "audit:",
     "config/keeper.yaml:37: audit: expected keys and values, found nothing"),
    (KEEPER, "  max_in_flight: 4", "   max_in_flight: 4",
     ("config/keeper.yaml:31: expected YAML, found: a line that is not indented as those that "
     "it stands with")),
    (KEEPER, "  max_in_flight: 4", "\tmax_in_flight: 4",
     "config/keeper.yaml:31: expected YAML, found: a tab, expected spaces to indent with"),
    (KEEPER, "  max_in_flight: 4", "  max_in_flight:4",
     "config/keeper.yaml:31: expected YAML, found: a key without a colon and a space behind it"),
    (KEEPER, "  sample: 50\n  every_blocks: 5", "  sample: 50\n    every_blocks: 5",
     ("config/keeper.yaml:39: expected YAML, found: a line indented too far, or a second colon "
     "in one")),
    (CHAIN, "${KEEPER_RPC_ETHEREUM:-ws://127.0.0.1:8546}", "eth.example.com/v2/key",
     ("config/chains/ethereum.yaml:11: rpc.0: expected a URL with its scheme, as wss://, or the "
     "path of an IPC socket, found neither")),
    (KEEPER, "../data/keeper.ethereum.sqlite", "~nobody-of-that-name/keeper.sqlite",
     ("config/keeper.yaml:11: database: expected a path, or '~' of a user whose home is known, "
     "found '~nobody-of-that-name/keeper.sqlite'")),
    (KEEPER, "mode: observe", "mode: lve",
     ("config/keeper.yaml:7: mode: expected 'observe', 'fork' or 'live', found 'lve'; "
     "did you mean 'live'?")),
    (KEEPER, "mode: observe", "mod: observe",
     "config/keeper.yaml:7: unknown key 'mod'; did you mean 'mode'?"),
    (KEEPER, "level: info ", "levl: info ",
     "config/keeper.yaml:42: unknown key 'levl'; did you mean 'level'?"),
    (KEEPER, "  slippage_bps: 50 ", "  slippage_bps: 5000 ",
     ("config/keeper.yaml:32: limits.slippage_bps: expected at most 500, found 5000; "
     "if it is meant, list limits.slippage_bps under confirm_dangerous")),
    (KEEPER, "per_day_wei: 2 ether", "per_day_wei: 0.2 ether",
     ("config/keeper.yaml:29: limits.max_gas_per_day_wei: expected at least "
     "limits.max_gas_per_hour_wei, 500000000000000000, found 200000000000000000")),
    (KEEPER, "0.005 ether  ", "0  ",
     ("config/keeper.yaml:25: limits.min_profit_wei: expected at least 1, found 0; "
     "if it is meant, list limits.min_profit_wei under confirm_dangerous")),
    (KEEPER, "0.005 ether  ", "0.005  ",
     ("config/keeper.yaml:25: limits.min_profit_wei: expected an amount in wei, or with a unit "
     "as in '0.01 ether' or '3 gwei', found '0.005'")),
    (KEEPER, "max_in_flight: 4", "max_in_flight: true",
     ("config/keeper.yaml:31: limits.max_in_flight: expected a whole number, 1 or more, "
     "found True")),
    (KEEPER, "executor:", "executor: 0xcA11bde05977b3631167028862bE2a173976CA12",
     ("config/keeper.yaml:15: executor: bad checksum: "
     "expected 0xcA11bDE05977b3631167028862be2A173976Ca12, "
     "found '0xcA11bde05977b3631167028862bE2a173976CA12'")),
    (KEEPER, "recipient:", "recipient: 0x0000000000000000000000000000000000000000",
     ("config/keeper.yaml:16: recipient: expected an address, not the zero address, "
     "found '0x0000000000000000000000000000000000000000'")),
    (KEEPER, "recipient:", f"recipient: 0x{'5e' * 32}",
     ("config/keeper.yaml:16: recipient: expected an address of 0x and 40 hex digits, "
     "found 64 hex digits or more (hidden, in case it is a key)")),
    (KEEPER, "  keystore:", f"  keystore: {'5e' * 32}",
     ("config/keeper.yaml:21: operator.keystore.0: expected a path, "
     "found 64 hex digits or more (hidden, in case it is a key)")),
    (KEEPER, "  keystore:", f"  keystore: [a.json, 0x{'5e' * 32}]",
     ("config/keeper.yaml:21: operator.keystore.1: expected a path, "
     "found 64 hex digits or more (hidden, in case it is a key)")),
    (KEEPER, "chain: chains/ethereum.yaml", "chain: chains/etherium.yaml",
     ("config/chains/etherium.yaml: expected a configuration file, "
     "found: No such file or directory")),
    (KEEPER, "confirm_dangerous: []", "confirm_dangerous: [limits.slipage_bps]",
     ("config/keeper.yaml:46: confirm_dangerous: unknown 'limits.slipage_bps'; "
     "did you mean 'limits.slippage_bps'?")),
    (KEEPER, "confirm_dangerous: []", "mode: live",
     "config/keeper.yaml:46: duplicate key 'mode', first on line 7"),
    (KEEPER, "confirm_dangerous: []", "_env_file: x",
     "config/keeper.yaml:46: unknown key '_env_file'"),
    (KEEPER, "confirm_dangerous: []", "a: [1, 2",
     ("config/keeper.yaml:50: expected YAML, found: expected ',' or ']', "
     "but got '?'")),
    (KEEPER, "  - protocols/aave_v3.ethereum.yaml",
     "  - protocols/aave_v3.ethereum.yaml\n  - protocols/../protocols/aave_v3.ethereum.yaml",
     ("config/keeper.yaml:11: protocols: duplicate deployment 'aave_v3.ethereum', "
     "expected each once")),
    (KEEPER, "  - protocols/aave_v3.ethereum.yaml",
     "  - protocols/aave_v3.ethereum.yaml\n  - protocols/aave_v3.ethereum.yaml",
     ("config/keeper.yaml:9: protocols: duplicate 'protocols/aave_v3.ethereum.yaml': "
     "expected each once, found a list of 2")),
    (CHAIN, "chain_id: 1\n", "",
     "config/chains/ethereum.yaml:1: missing key 'chain_id'"),
    (CHAIN, '    factory: "0x1F', '    factry: "0x1F',
     ("config/chains/ethereum.yaml:33: missing key 'venues.0.factory'\n"
     "config/chains/ethereum.yaml:34: unknown key 'factry'; did you mean 'factory'?")),
    (CHAIN, "kind: uniswap_v3", "kind: uniswap_v4",
     ("config/chains/ethereum.yaml:33: venues.0.kind: expected 'uniswap_v3' or 'uniswap_v2', "
     "found 'uniswap_v4'; did you mean 'uniswap_v3'?")),
    (CHAIN, "    name: sushiswap", "    fee: 3000",
     "venues: expected venues of different names, found uniswap_v3, uniswap_v2, uniswap_v2"),
    (CHAIN, "    name: sushiswap", "    name: sushiswap\n    fee: 300000",
     "fee: expected less than 65536, found 300000"),
    (CHAIN, "${KEEPER_RPC_ETHEREUM:-ws://127.0.0.1:8546}", "${KEEPER_RPC_OTHER}",
     ("config/chains/ethereum.yaml:11: expected the environment variable or secret file "
     "KEEPER_RPC_OTHER, found none")),
    (CHAIN, "[100, 500, 3000, 10000]", "[100, 500, 500]",
     ("config/chains/ethereum.yaml:36: venues.0.fee_tiers: duplicate 500: expected each once, "
     "found a list of 3")),
    (CHAIN, "  - ${KEEPER_RPC_ETHEREUM:-ws://127.0.0.1:8546}", "  []",
     "config/chains/ethereum.yaml:10: rpc: expected at least one, found a value that is not shown"),
    (CHAIN, "native_symbol: ETH", "quorum: 2\nnative_symbol: ETH",
     ("config/chains/ethereum.yaml:13: quorum: expected at most 1, the number of nodes in rpc, "
     "found 2")),
    (PROTOCOL, "chain: ethereum", "chain: base",
     "config/protocols/aave_v3.ethereum.yaml:7: chain: expected 'ethereum', found 'base'"),
    (PROTOCOL, "heartbeats_s: {}",
     "heartbeats_s: {0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9E: 60}",
     ("config/protocols/aave_v3.ethereum.yaml:18: "
      "heartbeats_s.0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9E: bad checksum: "
      "expected 0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e, "
      "found '0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9E'")),
    (PROTOCOL, "start_block: 16291070", "start_block: -5",
     ("config/protocols/aave_v3.ethereum.yaml:12: start_block: "
     "expected a whole number, 0 or more, found -5")),
    (PROTOCOL, "  addresses_provider:", "  address_provider:",
     ("config/protocols/aave_v3.ethereum.yaml:29: "
     "missing key 'parameters.addresses_provider'\n"
     "config/protocols/aave_v3.ethereum.yaml:30: unknown key 'address_provider'; "
     "did you mean 'addresses_provider'?")),
    (PROTOCOL, "0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e",
     "0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9E",
     ("config/protocols/aave_v3.ethereum.yaml:30: parameters.addresses_provider: bad checksum: "
     "expected 0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e, "
     "found '0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9E'")),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "said"), GOLDEN)
def test_a_mistake_is_told_by_file_line_key_expected_and_found(config, file, old, new, said):
    change(config / file, old, new)
    assert said in complaint(config)


def test_every_mistake_of_a_file_is_told_at_once_in_the_order_of_its_lines(config):
    change(config / KEEPER, "mode: observe", "mode: lve")
    change(config / KEEPER, "max_in_flight: 4", "max_in_flight: 0")
    lines = complaint(config).splitlines()
    assert [line.split(":")[1] for line in lines] == ["7", "31"]


def test_an_unknown_protocol_names_the_known_ones(config):
    change(config / PROTOCOL, "protocol: aave_v3", "protocol: aave_v33")
    said = complaint(config)
    assert "aave_v3.ethereum.yaml:6: protocol: expected " in said
    assert said.endswith("found 'aave_v33'; did you mean 'aave_v3'?")


def test_a_mistake_in_the_environment_names_the_variable_and_hides_its_value(config, monkeypatch):
    monkeypatch.setenv("KEEPER_LIMITS__MIN_PROFIT_WEI", "canary")
    assert complaint(config) == (
        "environment KEEPER_LIMITS__MIN_PROFIT_WEI: limits.min_profit_wei: expected an amount "
        "in wei, or with a unit as in '0.01 ether' or '3 gwei', "
        "found a value that is not shown"
    )


@pytest.mark.parametrize("section", ["LOG", "LIMITS", "OPERATOR"])
def test_a_section_in_the_environment_that_is_no_json_is_named(config, monkeypatch, section):
    name = f"KEEPER_{section}"
    monkeypatch.setenv(name, "canary")
    assert complaint(config) == (
        f"environment {name}: expected JSON, or {name}__KEY for each of its keys, found other text"
    )


def test_a_section_in_a_secret_file_that_is_no_text_is_named(config, monkeypatch, tmp_path):
    (tmp_path / "keeper_log").write_bytes(b"\xff")
    monkeypatch.setenv("KEEPER_SECRETS_DIR", str(tmp_path))
    assert complaint(config) == (
        f"{tmp_path}/keeper_log: expected a readable secret file of UTF-8 text, "
        "found UnicodeDecodeError"
    )


def test_an_unknown_nested_variable_is_refused(config, monkeypatch):
    monkeypatch.setenv("KEEPER_LIMITS__MIN_PROFT_WEI", "1")
    assert complaint(config) == (
        "environment KEEPER_LIMITS__MIN_PROFT_WEI: unknown key 'min_proft_wei'; "
        "did you mean 'min_profit_wei'?"
    )


def test_a_dangerous_value_from_the_environment_is_refused_as_well(config, monkeypatch):
    monkeypatch.setenv("KEEPER_LIMITS__SLIPPAGE_BPS", "700")
    assert complaint(config).startswith("environment KEEPER_LIMITS__SLIPPAGE_BPS: ")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SENDING__LANE", "flashbot", "sending.lane: expected one of 'mempool', found 'flashbot'"),
        ("SENDING__BACKRUN", "true", "sending.backrun: expected sending.lane of kind bundle"),
        ("CONFIRM_DANGEROUS", "limits.slippage", "confirm_dangerous: unknown 'limits.slippage'"),
    ],
)
def test_what_the_environment_says_against_a_file_names_the_variable(
    config, monkeypatch, name, value, said
):
    monkeypatch.setenv(f"KEEPER_{name}", value)
    assert complaint(config).startswith(f"environment KEEPER_{name}: {said}")


def test_a_gas_price_that_just_leaves_room_for_the_tip_is_taken(config):
    change(config / KEEPER, "max_gas_price_wei: 150 gwei", "max_gas_price_wei: 1100000000")
    assert load(config / KEEPER).limits.max_gas_price_wei == 1_100_000_000


@pytest.mark.parametrize("bad", ["ftp://h/canary", "https:///canary", "canary", "https://h:no/x"])
def test_no_message_shows_a_url(config, monkeypatch, bad):
    monkeypatch.setenv("KEEPER_RPC_ETHEREUM", bad)
    said = complaint(config)
    assert said.startswith("config/chains/ethereum.yaml:11: rpc.0: expected ")
    assert "canary" not in said


def test_no_chained_error_shows_a_url(config, monkeypatch):
    monkeypatch.setenv("KEEPER_CHAIN_RPC", "ftp://h/canary")
    with pytest.raises(ConfigError) as caught:
        load(config / KEEPER)
    shown, error = "", caught.value
    while error is not None:
        shown += f"{error} {error!r}"
        error = error.__cause__ or error.__context__
    assert "canary" not in shown


def test_a_folder_is_no_configuration():
    with pytest.raises(ConfigError, match="expected a configuration file, found: Is a directory"):
        load(SHIPPED)


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a list\n", "text\n"])
def test_a_file_without_keys_is_refused(tmp_path, content):
    path = tmp_path / "keeper.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"keeper\.yaml:1: expected keys and values"):
        load(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "keeper.yaml"
    path.write_bytes(b"mode: \xff\n")
    with pytest.raises(ConfigError, match="expected UTF-8 text, found byte 0xff"):
        load(path)


def test_an_alias_is_refused(tmp_path):
    path = tmp_path / "keeper.yaml"
    path.write_text("a: &x [1]\nb: *x\n")
    with pytest.raises(ConfigError, match=r"keeper\.yaml:1: .*found an alias"):
        load(path)


def test_a_missing_folder_of_secrets_is_refused(config, monkeypatch):
    monkeypatch.setenv("KEEPER_SECRETS_DIR", "no/such/folder")
    assert complaint(config) == (
        "KEEPER_SECRETS_DIR: expected a folder of secret files, found 'no/such/folder'"
    )


def test_a_quorum_and_what_one_node_sets_off_are_not_had_together(config, monkeypatch):
    monkeypatch.setenv("KEEPER_CHAIN_RPC", "ws://127.0.0.1:1,ws://127.0.0.1:2")
    change(config / "chains/ethereum.yaml", "native_symbol: ETH", "quorum: 2\nnative_symbol: ETH")
    assert load(config / "keeper.yaml").chain.quorum == 2
    root = config / "keeper.yaml"
    root.write_text(root.read_text() + "\nsending:\n  prearm_accounts: 3\n")
    found = complaint(config)
    assert "sending.prearm_accounts: expected 0 with quorum: 2 in chains/ethereum.yaml" in found
    assert "found 3" in found


def test_what_is_expected_alone_is_not_suggested_as_well(config):
    change(config / PROTOCOL, "chain: ethereum", "chain: etherium")
    assert complaint(config).endswith("chain: expected 'ethereum', found 'etherium'")

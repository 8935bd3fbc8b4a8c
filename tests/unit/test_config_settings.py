"""A right configuration: every shipped file, the overrides, and what is never read."""

import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain.endpoint import EndpointKind
from keeper.config.document import read_document
from keeper.config.fleet import load_fleet
from keeper.config.keeper_file import Mode
from keeper.config.settings import load
from keeper.config.values import parse_address, parse_wei
from keeper.core.errors import ConfigError
from keeper.core.units import Address
from keeper.evm.hashing import checksum_address

SHIPPED = Path(__file__).parents[2] / "config"
CANARY = "canary0123456789"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No setting of the machine that the test runs on reaches it."""
    for name in list(os.environ):
        if name.startswith("KEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def shipped():
    return load(SHIPPED / "keeper.yaml")


def test_the_shipped_configuration_is_disarmed_and_whole(shipped):
    assert shipped.mode is Mode.OBSERVE
    assert shipped.executor is None
    assert (shipped.chain.name, shipped.chain.chain_id) == ("ethereum", 1)
    assert [one.name for one in shipped.deployments] == ["aave_v3.ethereum"]
    assert shipped.database == SHIPPED / "../data/keeper.ethereum.sqlite"


def test_the_shipped_amounts_are_what_they_say(shipped):
    assert shipped.limits.min_profit_wei == 5 * 10**15
    assert shipped.limits.max_gas_price_wei == 150 * 10**9
    assert shipped.chain.priority_fee_wei == 10**9


def test_the_shipped_addresses_are_those_of_mainnet(shipped):
    (aave,) = shipped.deployments
    (venue, pairs, others) = shipped.chain.venues
    (lender, free) = shipped.chain.flash_sources
    assert aave.parameters.addresses_provider == "0x2f39d218133afab8f2b819b1066c7e434ad94e9e"
    assert lender.pool == "0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2"
    assert free.pool == "0xbbbbbbbbbb9cc5e90e3b3af64bdaf62c37eeffcb"
    assert venue.factory == "0x1f98431c8ad98523631ae4a59f267346ea31f984"
    assert pairs.factory == "0x5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f"
    assert (others.name, others.factory) == (
        "sushiswap",
        "0xc0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac",
    )
    assert venue.quoter_v2 == "0x61ffe014ba17989e743c5f6cb21bf9697530b21e"
    assert shipped.chain.wrapped_native == "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
    assert shipped.chain.multicall3 == "0xca11bde05977b3631167028862be2a173976ca11"


def test_every_deployment_and_every_chain_names_where_its_addresses_are_from():
    told = {
        "protocols": r"(?m)^# Source: .*(npm @\S+ \d|repository)",
        "chains": r"(?m)^# .*npm @\S+ \d",
    }
    silent = [
        path.name
        for folder, how in told.items()
        for path in (SHIPPED / folder).iterdir()
        if not re.search(how, path.read_text())
    ]
    assert silent == []


@pytest.mark.parametrize("root", sorted(SHIPPED.glob("*.yaml")), ids=lambda one: one.stem)
def test_every_shipped_root_alerts_whom_the_environment_names(root, monkeypatch):
    monkeypatch.setenv("KEEPER_ALERT_URLS", "json://127.0.0.1/a json://127.0.0.1/b")
    assert len(load_fleet(root).first.alerts.urls) == 2


def test_every_file_in_config_is_loaded_by_a_shipped_root():
    roots = sorted(SHIPPED.glob("*.yaml"))
    used = {path.relative_to(SHIPPED) for path in roots}
    for root in roots:
        data = read_document(root, os.environ.get).data
        for one in data.get("chains", [data]):
            used |= {Path(one["chain"]), *map(Path, one["protocols"])}
        fleet = load_fleet(root)
        assert fleet.path == root
        assert all(one.mode is Mode.OBSERVE for one in fleet.chains)
    assert used == {path.relative_to(SHIPPED) for path in SHIPPED.rglob("*.yaml")}


AAVE_V3 = {
    "arbitrum": (42161, "0xa97684ead0e402dc232d5a977953df7ecbab3cdb"),
    "avalanche": (43114, "0xa97684ead0e402dc232d5a977953df7ecbab3cdb"),
    "base": (8453, "0xe20fcbdbffc4dd138ce8b2e6fbb6cb49777ad64d"),
    "bnb": (56, "0xff75b6da14ffbbfd355daf7a2731456b3562ba6d"),
    "gnosis": (100, "0x36616cf17557639614c1cddb356b1b83fc0b2132"),
    "optimism": (10, "0xa97684ead0e402dc232d5a977953df7ecbab3cdb"),
    "polygon": (137, "0xa97684ead0e402dc232d5a977953df7ecbab3cdb"),
}
"""Chain to its id and Aave's provider, as the address book has them."""


@pytest.mark.parametrize("chain", sorted(AAVE_V3))
def test_aave_v3_is_configured_on(chain):
    found = load(SHIPPED / f"keeper.{chain}.yaml")
    aave = next(one for one in found.deployments if one.name == f"aave_v3.{chain}")
    assert (found.chain.chain_id, aave.parameters.addresses_provider) == AAVE_V3[chain]
    assert found.chain.wrapped_native in found.chain.venues[0].intermediates


def test_spark_is_served_by_the_numbers_of_its_own_revisions():
    found = load(SHIPPED / "keeper.ethereum.yaml")
    spark = next(one for one in found.deployments if one.name == "spark.ethereum")
    assert spark.settings.enabled
    assert spark.parameters.revisions == {4: "3.0"}
    assert spark.parameters.addresses_provider == "0x02c3ea4e34c0cbd694d2adfa2c690eecbc1793ee"


def test_a_release_that_does_not_exist_is_refused_where_it_is_written(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "config")
    path = tmp_path / "config/protocols/spark.ethereum.yaml"
    path.write_text(path.read_text().replace('{4: "3.0"}', '{4: "3.9"}'))
    with pytest.raises(ConfigError, match=r"spark\.ethereum\.yaml:\d+: parameters\.revisions\.4: "
                       r"expected one of 3\.0, .*, 3\.7, found '3\.9'"):  # fmt: skip
        load(tmp_path / "config/keeper.ethereum.yaml")


@pytest.mark.parametrize("chain", ["arbitrum", "base", "optimism"])
def test_a_rollup_names_its_sequencers_feed(chain):
    assert load(SHIPPED / f"keeper.{chain}.yaml").chain.sequencer is not None


def test_nothing_in_the_settings_can_be_changed(shipped):
    with pytest.raises(ValueError, match="frozen"):
        shipped.limits.slippage_bps = 1
    with pytest.raises(AttributeError):
        shipped.mode = Mode.LIVE


def test_the_environment_overrides_the_file(monkeypatch):
    monkeypatch.setenv("KEEPER_MODE", "fork")
    monkeypatch.setenv("KEEPER_LIMITS__MIN_PROFIT_WEI", "2 gwei")
    monkeypatch.setenv("KEEPER_LIMITS__MAX_IN_FLIGHT", "7")
    monkeypatch.setenv("KEEPER_LOG__LEVEL", "debug")
    monkeypatch.setenv("KEEPER_CHAIN_CONFIRMATIONS", "5")
    found = load(SHIPPED / "keeper.yaml")
    assert (found.mode, found.log.level) == (Mode.FORK, "debug")
    assert (found.limits.min_profit_wei, found.limits.max_in_flight) == (2 * 10**9, 7)
    assert found.limits.slippage_bps == 50
    assert found.chain.confirmations == 5


def test_rpc_urls_come_from_the_environment_one_or_several(monkeypatch):
    monkeypatch.setenv("KEEPER_CHAIN_RPC", "wss://one/key, http://two:8545 ,/run/geth.ipc")
    kinds = [endpoint.kind for endpoint in load(SHIPPED / "keeper.yaml").chain.rpc]
    assert kinds == [EndpointKind.WEBSOCKET, EndpointKind.HTTP, EndpointKind.IPC]


def test_a_reference_in_the_file_is_filled_from_the_environment(monkeypatch):
    monkeypatch.setenv("KEEPER_RPC_ETHEREUM", f"https://node.example/{CANARY}")
    (endpoint,) = load(SHIPPED / "keeper.yaml").chain.rpc
    assert endpoint.address == f"https://node.example/{CANARY}"


def test_secret_files_fill_references_and_override_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("KEEPER_SECRETS_DIR", str(tmp_path))
    (tmp_path / "keeper_rpc_ethereum").write_text(f"https://node.example/{CANARY}\n")
    (tmp_path / "keeper_executor").write_text("0x" + "ab" * 20 + "\n")
    found = load(SHIPPED / "keeper.yaml")
    assert found.chain.rpc[0].address == f"https://node.example/{CANARY}"
    assert found.executor == "0x" + "ab" * 20


def test_secret_files_override_the_keys_of_sections(monkeypatch, tmp_path):
    monkeypatch.setenv("KEEPER_SECRETS_DIR", str(tmp_path))
    (tmp_path / "keeper_limits__min_profit_wei").write_text("3 ether\n")
    (tmp_path / "keeper_sending__breaker__max_reverts_in_row").write_text("1\n")
    (tmp_path / "keeper_private_key").write_bytes(b"\xff")
    monkeypatch.setenv("KEEPER_LIMITS__MAX_IN_FLIGHT", "2")
    settings = load(SHIPPED / "keeper.yaml")
    assert settings.limits.min_profit_wei == 3 * 10**18
    assert settings.limits.max_in_flight == 2
    assert settings.limits.slippage_bps == 50
    assert settings.sending.breaker.max_reverts_in_row == 1


def test_an_unknown_key_of_a_section_in_a_secret_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("KEEPER_SECRETS_DIR", str(tmp_path))
    (tmp_path / "keeper_limits__min_proft_wei").write_text("1")
    with pytest.raises(ConfigError, match="KEEPER_LIMITS__MIN_PROFT_WEI: unknown key"):
        load(SHIPPED / "keeper.yaml")


def test_the_environment_comes_before_secret_files(monkeypatch, tmp_path):
    monkeypatch.setenv("KEEPER_SECRETS_DIR", str(tmp_path))
    (tmp_path / "keeper_mode").write_text("live")
    monkeypatch.setenv("KEEPER_MODE", "fork")
    assert load(SHIPPED / "keeper.yaml").mode is Mode.FORK


def test_no_text_of_the_settings_shows_a_url(monkeypatch):
    monkeypatch.setenv("KEEPER_CHAIN_RPC", f"https://user:{CANARY}@node.example/{CANARY}")
    found = load(SHIPPED / "keeper.yaml")
    assert CANARY not in f"{found} {found!r} {found.chain} {found.chain.rpc}"
    assert "node.example" in f"{found}"


def test_no_key_is_read(monkeypatch, tmp_path):
    """Neither the variable nor the keystore nor its password: they may not even exist."""
    shutil.copytree(SHIPPED, tmp_path / "config")
    root = tmp_path / "config" / "keeper.yaml"
    root.write_text(root.read_text().replace("  keystore:", "  keystore: no/such/file.json"))
    monkeypatch.setenv("KEEPER_PRIVATE_KEY", CANARY)
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", CANARY)
    found = load(root)
    assert CANARY not in repr(found)
    assert found.operator.keystore == (tmp_path / "config" / "no/such/file.json",)


def test_a_dangerous_limit_is_taken_when_its_key_is_confirmed(monkeypatch):
    monkeypatch.setenv("KEEPER_LIMITS__SLIPPAGE_BPS", "700")
    monkeypatch.setenv("KEEPER_CONFIRM_DANGEROUS", "limits.slippage_bps")
    assert load(SHIPPED / "keeper.yaml").limits.slippage_bps == 700


def test_a_feed_may_be_named_by_its_address_in_any_case(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "config")
    file = tmp_path / "config" / "protocols" / "aave_v3.ethereum.yaml"
    mixed = checksum_address(Address("0x" + "ab" * 20))
    named = f"heartbeats_s: {{{mixed}: 60, WETH: 90}}"
    file.write_text(file.read_text().replace("heartbeats_s: {}", named))
    (aave,) = load(tmp_path / "config" / "keeper.yaml").deployments
    assert aave.settings.heartbeats_s == {"0x" + "ab" * 20: 60, "WETH": 90}


def test_an_unquoted_address_is_an_address(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text("to: 0x1F98431c8aD98523631AE4a59f267346ea31F984\n")
    assert read_document(path, lambda _name: None).data == {
        "to": "0x1F98431c8aD98523631AE4a59f267346ea31F984"
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000),
        ("-5", -5),
        ("007", 7),
        ("1.5", "1.5"),
        ("1e3", "1e3"),
        ("0x10", "0x10"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("true", True),
        ("~", None),
        ("", None),
        ('"5"', "5"),
        ("'true'", "true"),
    ],
)
def test_a_scalar_is_what_it_looks_like_and_never_a_float(tmp_path, text, value):
    path = tmp_path / "one.yaml"
    path.write_text(f"key: {text}\n")
    found = read_document(path, lambda _name: None).data["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        (7, 7),
        ("7", 7),
        ("7 wei", 7),
        ("3 gwei", 3 * 10**9),
        ("0.000000001 gwei", 1),
        ("1.5gwei", 15 * 10**8),
        ("0.01 ether", 10**16),
        ("1_000 ETH", 10**21),
        (10**30, 10**30),
    ],
)
def test_an_amount_with_a_unit_is_exact(text, wei):
    assert parse_wei(text) == wei


@pytest.mark.parametrize(
    "text",
    ["", "1.5", "0.1 wei", "-1", -1, "1 gewi", "1e18", "0.0000000001 gwei", ".5 ether", True, None,
     1.5, "1 ether 2", "1,000"],
)  # fmt: skip
def test_an_amount_without_sense_is_refused(text):
    with pytest.raises(ValueError, match="expected an amount"):
        parse_wei(text)


@given(st.integers(0, 10**30))
def test_an_amount_written_in_ether_is_the_same_in_wei(wei):
    assert parse_wei(f"{wei // 10**18}.{wei % 10**18:018d} ether") == wei


@given(st.binary(min_size=20, max_size=20).filter(any), st.integers(0, 39))
def test_a_checksum_with_one_letter_in_the_wrong_case_is_refused(raw, place):
    right = checksum_address(Address("0x" + raw.hex()))
    assert parse_address(right) == "0x" + raw.hex()
    wrong = right[: place + 2] + right[place + 2].swapcase() + right[place + 3 :]
    if wrong == right or wrong[2:] in {wrong[2:].lower(), wrong[2:].upper()}:
        return
    with pytest.raises(ValueError, match=f"bad checksum: expected {right}"):
        parse_address(wrong)

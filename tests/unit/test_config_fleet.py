"""A file of several chains: what its entries share, what each has alone, and what is refused."""

import os
import shutil
from pathlib import Path

import pytest

from keeper.config.fleet import load_fleet
from keeper.config.keeper_file import Mode
from keeper.config.settings import load
from keeper.core.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config"

ROOT = """\
mode: observe
database: ../data/keeper.sqlite
totals:
  max_in_flight: 6
  max_gas_per_day_usd: 1_000
limits:
  min_profit_wei: 0.005 ether
  max_gas_price_wei: 150 gwei
  max_gas_per_tx_wei: 0.1 ether
  max_gas_per_hour_wei: 0.5 ether
  max_gas_per_day_wei: 2 ether
  min_balance_wei: 0.05 ether
  max_in_flight: 4
  slippage_bps: 50
  deadline_s: 120
sending:
  breaker: {max_reverts_in_row: 2, max_head_gap_s: 90}
chains:
  - chain: chains/ethereum.yaml
    protocols:
      - protocols/aave_v3.ethereum.yaml
      - protocols/morpho_blue.ethereum.yaml
    mode: fork
  - chain: chains/bnb.yaml
    protocols: protocols/venus.bnb.yaml
    executor: "0xca11bde05977b3631167028862be2a173976ca11"
    database: bnb/own.sqlite
    limits:
      max_gas_price_wei: 5 gwei
    sending:
      breaker: {max_reverts_in_row: 7}
"""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No setting of the machine that the test runs on reaches it."""
    for name in list(os.environ):
        if name.startswith("KEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def root(tmp_path, monkeypatch):
    shutil.copytree(SHIPPED, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    path = Path("config/several.yaml")
    path.write_text(ROOT)
    return path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_fleet(path)
    return str(caught.value)


def test_an_entry_is_laid_over_the_root_key_by_key(root):
    ethereum, bnb = load_fleet(root).chains
    assert (ethereum.mode, bnb.mode) == (Mode.FORK, Mode.OBSERVE)
    assert [one.name for one in ethereum.deployments] == [
        "aave_v3.ethereum",
        "morpho_blue.ethereum",
    ]
    assert [one.name for one in bnb.deployments] == ["venus.bnb"]
    prices = [one.limits.max_gas_price_wei for one in (ethereum, bnb)]
    assert prices == [150 * 10**9, 5 * 10**9]
    assert ethereum.limits.max_in_flight == bnb.limits.max_in_flight == 4
    breakers = [one.sending.breaker for one in (ethereum, bnb)]
    assert [one.max_reverts_in_row for one in breakers] == [2, 7]
    assert [one.max_head_gap_s for one in breakers] == [90, 90]
    assert (ethereum.executor, bnb.executor) == (None, "0xca11bde05977b3631167028862be2a173976ca11")


def test_each_chain_has_a_database_of_its_own(root):
    ethereum, bnb = load_fleet(root).chains
    assert ethereum.database == Path("config/../data/keeper.ethereum.sqlite")
    assert bnb.database == Path("config/bnb/own.sqlite")


def test_the_totals_are_of_all_chains(root):
    totals = load_fleet(root).totals
    assert (totals.max_in_flight, totals.max_gas_per_day_usd) == (6, 1_000)
    assert totals.max_gas_per_hour_usd is None
    assert totals.counts_money


def test_the_environment_overrides_every_chain(root, monkeypatch):
    monkeypatch.setenv("KEEPER_LIMITS__MAX_IN_FLIGHT", "2")
    monkeypatch.setenv("KEEPER_RPC_BNB", "http://node-of-bnb:8545")
    ethereum, bnb = load_fleet(root).chains
    assert (ethereum.limits.max_in_flight, bnb.limits.max_in_flight) == (2, 2)
    assert bnb.chain.rpc[0].address == "http://node-of-bnb:8545"
    assert ethereum.chain.rpc[0].address != bnb.chain.rpc[0].address


def test_a_file_of_one_chain_is_a_fleet_of_one(root):
    fleet = load_fleet(root.with_name("keeper.yaml"))
    assert not fleet.several
    assert fleet.chains == (load(root.with_name("keeper.yaml")),)
    assert not fleet.totals.counts_money


def test_the_shipped_file_of_all_chains_is_disarmed_and_whole():
    fleet = load_fleet(SHIPPED / "keeper.all.yaml")
    files = {path.stem for path in (SHIPPED / "chains").glob("*.yaml")}
    assert {one.chain.name for one in fleet.chains} == files
    assert all(one.mode is Mode.OBSERVE for one in fleet.chains)
    served = {one.path.name for chain in fleet.chains for one in chain.deployments}
    assert served == {path.name for path in (SHIPPED / "protocols").glob("*.yaml")}


def test_a_chain_is_chosen_by_its_name(root):
    fleet = load_fleet(root)
    assert fleet.only(None) == fleet.chains
    assert [one.chain.name for one in fleet.only("bnb")] == ["bnb"]
    assert fleet.one("bnb", "why").chain.chain_id == 56
    with pytest.raises(ConfigError, match=r"--chain: expected one of 'ethereum', 'bnb', found "
                       r"'etherium'; did you mean 'ethereum'\?"):  # fmt: skip
        fleet.only("etherium")
    with pytest.raises(ConfigError, match="found none given; a dry run forks one chain"):
        fleet.one(None, "a dry run forks one chain")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("      max_gas_price_wei: 5 gwei", "      max_gas_prce_wei: 5 gwei",
         ("config/several.yaml:29: unknown key 'max_gas_prce_wei'; "
         "did you mean 'max_gas_price_wei'?")),
        ("      max_gas_price_wei: 5 gwei", "      max_in_flight: 5000",
         "config/several.yaml:29: limits.max_in_flight: expected at most 50, found 5000"),
        ("    protocols: protocols/venus.bnb.yaml\n", "",
         "config/several.yaml:24: missing key 'protocols'"),
        ("chain: chains/bnb.yaml", "chain: chains/ethereum.yaml",
         "config/protocols/venus.bnb.yaml:7: chain: expected 'ethereum', found 'bnb'"),
        ("    mode: fork", "    log: {level: debug}",
         "config/several.yaml:23: chains.0.log: expected at the root, for all chains at once"),
        ("database: ../data", "chain: x\ndatabase: ../data",
         "config/several.yaml:2: chain: expected in each entry of chains, found beside"),
        ("  max_in_flight: 6", "  max_in_flght: 6",
         "config/several.yaml:4: unknown key 'max_in_flght'; did you mean 'max_in_flight'?"),
        ("bnb/own.sqlite", "../data/keeper.ethereum.sqlite",
         "config/several.yaml:24: chains.1: expected a database of its own, found "),
        ("mode: observe", "http: {port: 9100}\nmode: observe",
         ("config/several.yaml:25: chains.1: expected a http.port of its own, found 9100 of "
         "ethereum again")),
        ("    mode: fork", "    mod: fork",
         "config/several.yaml:23: unknown key 'mod'; did you mean 'mode'?"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_entry_is_told_by_its_own_line(root, old, new, said):
    change(root, old, new)
    assert said in complaint(root)


def test_chains_whose_files_are_called_the_same_are_told_to_name_their_databases(root):
    other = root.parent / "other" / "ethereum.yaml"
    other.parent.mkdir()
    shutil.copy(root.parent / "chains" / "bnb.yaml", other)
    change(root, "chain: chains/bnb.yaml", "chain: other/ethereum.yaml")
    change(root, "    database: bnb/own.sqlite\n", "")
    said = complaint(root)
    assert said.startswith(
        "config/several.yaml:24: chains.1: expected a database of its own, found "
    )
    assert said.endswith(
        "keeper.ethereum.sqlite of ethereum again; it is called after the chain's file where "
        "the entry names none"
    )


def test_one_chain_cannot_be_served_twice(root):
    change(root, "chain: chains/bnb.yaml", "chain: chains/ethereum.yaml")
    change(root, "protocols/venus.bnb.yaml", "protocols/spark.ethereum.yaml")
    assert complaint(root) == (
        "config/several.yaml:24: chains.1: expected a chain of its own, "
        "found ethereum of ethereum again"
    )


@pytest.mark.parametrize("entries", ["chains: []", "chains:", "chains: {a: b}"])
def test_a_list_without_a_chain_is_refused(root, entries):
    root.write_text(ROOT[: ROOT.index("chains:")] + entries + "\n")
    assert "chains: expected a list of at least one chain, found none" in complaint(root)


def test_an_override_that_would_be_of_every_chain_is_refused(root, monkeypatch):
    monkeypatch.setenv("KEEPER_CHAIN_RPC", "http://canary")
    said = complaint(root)
    assert said.startswith("environment KEEPER_CHAIN_RPC: expected no such override where ")
    assert "canary" not in said


def test_what_serves_one_chain_refuses_a_file_of_several(root):
    with pytest.raises(ConfigError, match=r"several\.yaml:18: chains: expected a file of one"):
        load(root)


def test_a_day_for_which_an_hour_is_too_much_is_refused_of_all_chains(root) -> None:
    root.write_text(ROOT.replace("max_in_flight: 6", "max_gas_per_hour_usd: 1_001"))
    with pytest.raises(ConfigError) as caught:
        load_fleet(root)
    assert str(caught.value) == (
        "config/several.yaml:5: totals.max_gas_per_day_usd: expected at least "
        "totals.max_gas_per_hour_usd, 1001, found 1000"
    )


def test_a_day_for_which_an_hour_is_too_much_is_refused_of_one_of_them(root) -> None:
    lower = "    limits:\n      max_gas_per_day_wei: 0.4 ether\n"
    root.write_text(ROOT.replace("    limits:\n", lower))
    with pytest.raises(ConfigError) as caught:
        load_fleet(root)
    assert str(caught.value) == (
        "config/several.yaml:29: limits.max_gas_per_day_wei: expected at least "
        "limits.max_gas_per_hour_wei, 500000000000000000, found 400000000000000000"
    )


def test_a_day_like_its_hour_is_taken(root) -> None:
    root.write_text(ROOT.replace("max_in_flight: 6", "max_gas_per_hour_usd: 1_000"))
    assert load_fleet(root).totals.max_gas_per_hour_usd == 1_000


def test_the_environment_overrides_the_totals(root, monkeypatch) -> None:
    monkeypatch.setenv("KEEPER_TOTALS__MAX_GAS_PER_DAY_USD", "200")
    totals = load_fleet(root).totals
    assert (totals.max_in_flight, totals.max_gas_per_day_usd) == (6, 200)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MAX_IN_FLIGT", "1", "unknown key 'max_in_fligt'; did you mean 'max_in_flight'?"),
        ("MAX_IN_FLIGHT", "0", "totals.max_in_flight: expected a whole number, 1 or more"),
        ("MAX_GAS_PER_HOUR_USD", "1001", "config/several.yaml:5: totals.max_gas_per_day_usd: "),
    ],
)
def test_a_wrong_total_of_the_environment_is_refused(root, monkeypatch, name, value, said) -> None:
    monkeypatch.setenv(f"KEEPER_TOTALS__{name}", value)
    with pytest.raises(ConfigError) as caught:
        load_fleet(root)
    assert said in str(caught.value)


def test_a_total_of_the_environment_is_refused_beside_one_chain(monkeypatch) -> None:
    monkeypatch.setenv("KEEPER_TOTALS__MAX_IN_FLIGHT", "1")
    with pytest.raises(ConfigError, match=r"KEEPER_TOTALS: expected chains in .*keeper\.yaml"):
        load_fleet(SHIPPED / "keeper.yaml")

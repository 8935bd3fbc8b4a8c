"""The shipped configuration of Venus on BNB Smart Chain."""

from pathlib import Path

import pytest

from keeper.app.opening import adapters
from keeper.config.settings import load, load_deployment
from keeper.core.errors import ConfigError
from keeper.core.units import WAD, Address
from keeper.protocols.registry import adapter_for

ROOT = Path(__file__).parents[2] / "config" / "keeper.bnb.yaml"
COMPTROLLER = "0xfd36e2c2a6789db23113685031d7f16329158384"
WBNB = "0xbb4cdb9cbd36b01bd1cbaebf2de08d9173bc095c"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    monkeypatch.delenv("KEEPER_RPC_BNB", raising=False)


def test_it_names_the_comptroller_and_the_wrapped_coin():
    settings = load(ROOT)
    venus = next(one for one in adapters(settings) if one.protocol == "venus")
    assert (venus.protocol, venus.deployment) == ("venus", "venus.bnb")
    assert venus.parameters.comptroller == COMPTROLLER
    assert venus.parameters.wrapped_native == settings.chain.wrapped_native == WBNB
    assert settings.chain.chain_id == 56


def test_the_least_debt_is_a_hundred_dollars():
    venus = next(one for one in load(ROOT).deployments if one.settings.protocol == "venus")
    assert venus.settings.min_debt_base == 100 * WAD


def test_the_isolated_pools_begin_at_their_registry():
    settings = load(ROOT)
    pools = next(one for one in adapters(settings) if one.protocol == "venus_isolated")
    assert pools.deployment == "venus_isolated.bnb"
    assert pools.parameters.pool_registry == "0x9f7b01a536afa00ef10310a162877fd792cd0666"
    assert pools.start_block == 29_335_016


def test_another_wrapped_coin_than_the_chains_is_refused(tmp_path: Path):
    file = tmp_path / "venus.yaml"
    text = (ROOT.parent / "protocols" / "venus.bnb.yaml").read_text("utf-8")
    file.write_text(text, "utf-8")
    load_deployment(file, "bnb", wrapped_native=Address(WBNB))
    with pytest.raises(ConfigError) as refusal:
        load_deployment(file, "bnb", wrapped_native=Address(COMPTROLLER))
    said = f"parameters.wrapped_native: expected the chain's, {COMPTROLLER}, found {WBNB}"
    assert str(refusal.value) == f"{file}:21: {said}"


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"comptroller": COMPTROLLER}, "wrapped_native"),
        ({"comptroller": "0x12", "wrapped_native": WBNB}, "address"),
        ({"comptroller": COMPTROLLER, "wrapped_native": WBNB, "pool": WBNB}, "pool"),
        (
            {"comptroller": COMPTROLLER, "wrapped_native": WBNB, "account_borrows_slot": "16"},
            "account_borrows_slot",
        ),
    ],
)
def test_wrong_parameters_are_named(parameters, named):
    with pytest.raises(ConfigError, match=named):
        adapter_for("venus", deployment="venus.bnb", start_block=1, parameters=parameters)

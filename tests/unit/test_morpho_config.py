"""The shipped deployments of Morpho Blue."""

from pathlib import Path

import pytest

from keeper.config.settings import load
from keeper.protocols.morpho_blue.parameters import Parameters

CONFIG = Path(__file__).parents[2] / "config"
MORPHO = "0xbbbbbbbbbb9cc5e90e3b3af64bdaf62c37eeffcb"


@pytest.mark.parametrize(
    ("root", "start_block", "factory"),
    [
        ("keeper.ethereum.yaml", 18_883_124, "0x6ff33615e792e35ed1026ea7caccf42d9bf83476"),
        ("keeper.base.yaml", 13_977_148, "0x8cd16b62e170ee0ba83d80e1f80e6085367e2aef"),
    ],
)
def test_the_addresses_are_those_that_morpho_publishes(root: str, start_block: int, factory: str):
    settings = load(CONFIG / root)
    found = next(one for one in settings.deployments if one.settings.protocol == "morpho_blue")
    parameters = found.parameters
    assert isinstance(parameters, Parameters)
    assert parameters.morpho == MORPHO
    assert parameters.pre_liquidation_factories == (factory,)
    assert found.settings.start_block == start_block
    assert MORPHO in {one.pool for one in settings.chain.flash_sources}


@pytest.mark.parametrize("root", ["keeper.ethereum.yaml", "keeper.base.yaml"])
def test_every_loan_token_can_be_tied_to_the_native_coin(root: str):
    settings = load(CONFIG / root)
    found = next(one for one in settings.deployments if one.settings.protocol == "morpho_blue")
    assert isinstance(found.parameters, Parameters)
    priced = {settings.chain.wrapped_native, *settings.chain.price_feeds}
    assert set(found.parameters.loan_assets) <= priced

"""Adapters are found by the name of their folder."""

import pytest

from keeper.core.errors import ConfigError
from keeper.protocols.registry import adapter_for, protocol_names

PROVIDER = "0x2F39D218133AfAb8F2B819b1066c7e434ad94e9e"


def build(protocol: str = "aave_v3", **parameters: object):
    return adapter_for(
        protocol, deployment="aave_v3.ethereum", start_block=16_291_127, parameters=parameters
    )


def test_aave_is_found_and_built():
    assert "aave_v3" in protocol_names()
    adapter = build(addresses_provider=PROVIDER)
    assert (adapter.protocol, adapter.deployment) == ("aave_v3", "aave_v3.ethereum")
    assert adapter.start_block == 16_291_127


def test_an_unknown_protocol_is_refused_with_those_known():
    with pytest.raises(ConfigError, match=r"protocol: expected one of .*aave_v3.*, found 'aave'"):
        build("aave")


def test_an_unknown_parameter_is_refused_with_those_known():
    with pytest.raises(ConfigError, match="expected addresses_provider, revisions, found pool"):
        build(addresses_provider=PROVIDER, pool=PROVIDER)


@pytest.mark.parametrize("value", ["0x12", 7, "", None])
def test_an_address_that_is_none_is_refused(value):
    with pytest.raises(ConfigError, match="expected an address of 0x and 40 hex digits, found"):
        build(addresses_provider=value)


def test_a_missing_parameter_is_refused():
    with pytest.raises(ConfigError, match="addresses_provider"):
        build()

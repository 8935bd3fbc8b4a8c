"""The addresses of config/ are those of the packages that the files name as their source."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from keeper.devnet.packages import ensure

CONFIG = Path(__file__).parents[2] / "config"
AAVE = {
    "arbitrum": "Arbitrum",
    "avalanche": "Avalanche",
    "base": "Base",
    "bnb": "BNB",
    "ethereum": "Ethereum",
    "gnosis": "Gnosis",
    "optimism": "Optimism",
    "polygon": "Polygon",
}
"""Aave's name of each chain."""
MORPHO = {"base": "BaseMainnet", "ethereum": "EthMainnet"}

_NAMED = re.compile(r"(\w+)\s*=\s*(?:\w+\()?(0x[0-9a-fA-F]{40})")
_FIELD = re.compile(r"(\w+): \"?(0x[0-9a-fA-F]{40}|\d+n)")


def settings(file: str) -> dict:
    return yaml.safe_load((CONFIG / file).read_text("utf-8"))


def book(chain: str) -> dict[str, str]:
    """Return what Aave's address book has of a chain, by name."""
    text = (ensure("aave-address-book") / f"src/AaveV3{AAVE[chain]}.sol").read_text("utf-8")
    return dict(_NAMED.findall(text))


@pytest.mark.parametrize("chain", AAVE)
def test_aaves_markets_are_those_of_its_address_book(chain: str) -> None:
    named = book(chain)
    deployment, chain_file = (
        settings(f"protocols/aave_v3.{chain}.yaml"),
        settings(f"chains/{chain}.yaml"),
    )
    assert deployment["parameters"]["addresses_provider"] == named["POOL_ADDRESSES_PROVIDER"]
    lenders = [one["pool"] for one in chain_file["flash_sources"] if one["kind"] == "aave_v3"]
    assert lenders == [named["POOL"]]


@pytest.mark.parametrize("chain", AAVE)
def test_every_token_that_is_named_is_one_of_the_chains(chain: str) -> None:
    known = {at for name, at in book(chain).items() if name.endswith("_UNDERLYING")}
    chain_file = settings(f"chains/{chain}.yaml")
    tokens = {chain_file["wrapped_native"], *chain_file.get("price_feeds", {})}
    for venue in chain_file["venues"]:
        tokens |= set(venue.get("intermediates", ()))
    assert tokens <= known


def morphos(chain: str) -> Iterator[dict[str, str]]:
    """Yield what Morpho's package has of a chain: its addresses, and their blocks."""
    text = (ensure("morpho-ts") / "lib/cjs/addresses.js").read_text("utf-8")
    for part in text.split("[chain_js_1.ChainId.")[1:]:
        if part.startswith(f"{MORPHO[chain]}]"):
            yield dict(reversed(_FIELD.findall(part)))


@pytest.mark.parametrize("chain", MORPHO)
def test_morphos_deployments_are_those_of_its_package(chain: str) -> None:
    addresses, blocks = list(morphos(chain))[:2]
    deployment = settings(f"protocols/morpho_blue.{chain}.yaml")
    parameters = deployment["parameters"]
    assert parameters["morpho"] == addresses["morpho"]
    assert parameters["pre_liquidation_factories"] == [addresses["preLiquidationFactory"]]
    assert deployment["start_block"] == int(blocks["morpho"].removesuffix("n"))
    assert set(parameters["loan_assets"]) <= set(book(chain).values())

"""Every event that is watched is one of the contracts, and names accounts where we read them.

An event that is misspelt is never seen, and of a setting that seldom changes nothing else says so.
Morpho Blue's are in no ABI: its library emits them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from keeper.core.units import Hash32
from keeper.devnet.aave_v36_source import aave_v36_artifacts
from keeper.devnet.contract import Artifact, load_artifact, signature
from keeper.devnet.packages import ensure
from keeper.evm.words import topic
from keeper.protocols.aave_v3 import events as aave
from keeper.protocols.compound_v2 import codec as family
from keeper.protocols.compound_v2 import events as compound
from keeper.protocols.venus_isolated import events as isolated

Inputs = tuple[dict[str, Any], ...]
Known = Mapping[Hash32, tuple[Inputs, ...]]
"""The fields of the events of each topic, as contracts of different releases have them."""

OLDER: Mapping[str, tuple[str, ...]] = {
    "aave_v3": (),
    "compound_v2": ("AccrueInterest(uint256,uint256,uint256)",),
    "venus_isolated": ("NewInterestParams(uint256,uint256)",),
}
"""Events of contracts that are in none of the packages."""

WATCHED: Mapping[str, frozenset[Hash32]] = {
    "aave_v3": aave._TOPICS,
    "compound_v2": compound._TOPICS,
    "venus_isolated": isolated._TOPICS,
}


def artifacts(protocol: str) -> Iterator[Artifact]:
    """Yield the contracts of a protocol in all the releases that there are of it."""
    packages = {
        "aave_v3": ("aave-core-v3",),
        "compound_v2": ("compound-copied", "venus-protocol", "venus-oracle"),
        "venus_isolated": ("venus-isolated-pools", "venus-oracle"),
    }
    for name in packages[protocol]:
        for path in sorted(ensure(name).rglob("*.json")):
            if '"abi"' in path.read_text():
                yield load_artifact(path)
    if protocol == "aave_v3":
        yield from aave_v36_artifacts().values()


@pytest.fixture(scope="module", params=sorted(WATCHED))
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def known(protocol: str) -> Known:
    found: dict[Hash32, dict[str, Inputs]] = {}
    for artifact in artifacts(protocol):
        for entry in artifact.abi:
            if entry["type"] == "event":
                inputs = tuple(entry["inputs"])
                found.setdefault(topic(signature(entry)), {})[str(inputs)] = inputs
    return {one: tuple(variants.values()) for one, variants in found.items()}


def test_every_watched_event_is_one_of_the_contracts(protocol: str, known: Known):
    assert WATCHED[protocol] - known.keys() == set(map(topic, OLDER[protocol]))


def in_topics(protocol: str) -> Iterable[tuple[Hash32, int]]:
    """Yield each event with the topics in which accounts are looked for."""
    if protocol == "aave_v3":
        yield from aave.POOL_ACCOUNTS.items()
    several = {
        "aave_v3": aave.TOKEN_ACCOUNTS,
        "compound_v2": compound.TOPIC_ACCOUNTS,
        "venus_isolated": isolated.MARKET_ACCOUNTS,
    }
    for event, places in several[protocol].items():
        yield from ((event, place) for place in places)


def test_accounts_are_in_the_topics_where_they_are_looked_for(protocol: str, known: Known):
    for event, place in in_topics(protocol):
        for inputs in known[event]:
            indexed = [one for one in inputs if one["indexed"]]
            assert [one["type"] for one in indexed][place - 1 : place] in (["address"], []), inputs
        assert any(len([one for one in some if one["indexed"]]) >= place for some in known[event])


@pytest.mark.parametrize("protocol", ["compound_v2"], scope="module")
def test_accounts_are_in_the_data_where_they_are_looked_for(known: Known):
    for event, word in compound.DATA_ACCOUNTS.items():
        for inputs in known[event]:
            data = [one for one in inputs if not one["indexed"]]
            named = {"borrower", "minter"} if event != family.REPAY_BORROW else {"borrower"}
            if len(data) == len(inputs):
                assert (data[word]["type"], data[word]["name"] in named) == ("address", True), (
                    inputs
                )

"""Price feeds: real Chainlink aggregators, each behind a real proxy."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from keeper.core.units import ZERO_ADDRESS, Address
from keeper.devnet.assets import ASSETS
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender, read_all

FEED_DECIMALS = 8

_ROUND_TIMEOUT_S = 1_800
_LARGEST_ANSWER = 10**16


class Feed(Struct, frozen=True, kw_only=True):
    """A proxy, which protocols read, and the aggregator behind it, which emits the events."""

    proxy: Contract
    aggregator: Contract


def aggregator_artifact(package: Path) -> Artifact:
    """Return Chainlink's `AccessControlledAggregator`."""
    return load_artifact(package / "abi/v0.6/AccessControlledAggregator.json")


def deploy_feeds(sender: Sender, package: Path, oracle_node: Address) -> dict[str, Feed]:
    """Queue one feed per asset, with `oracle_node` as the only node that may submit."""
    aggregator = aggregator_artifact(package)
    proxy = load_artifact(package / "abi/v0.6/EACAggregatorProxy.json")
    feeds: dict[str, Feed] = {}
    for symbol in ASSETS:
        behind = sender.deploy(
            aggregator,
            ZERO_ADDRESS,  # no LINK: rounds are not paid for
            0,
            _ROUND_TIMEOUT_S,
            ZERO_ADDRESS,
            1,
            _LARGEST_ANSWER,
            FEED_DECIMALS,
            f"{symbol} / USD",
        )
        sender.call(behind, "changeOracles", [], [oracle_node], [sender.account], 1, 1, 0)
        front = sender.deploy(proxy, behind.address, ZERO_ADDRESS)
        sender.call(behind, "addAccess", front.address)
        feeds[symbol] = Feed(proxy=front, aggregator=behind)
    return feeds


def submit_answers(
    rpc: Rpc, oracle: Sender, aggregators: Mapping[str, Contract], answers: Mapping[str, int]
) -> None:
    """Queue the next round of each feed named in `answers` (8 decimals)."""
    rounds: Sequence[int] = read_all(rpc, [(aggregators[s], "latestRound", ()) for s in answers])
    for (symbol, answer), latest in zip(answers.items(), rounds, strict=True):
        oracle.call(aggregators[symbol], "submit", latest + 1, answer)

"""The guard of an L2: a real Chainlink feed says whether the sequencer is up, Aave asks it."""

from pathlib import Path

from msgspec import Struct

from keeper.core.units import ZERO_ADDRESS, Address
from keeper.devnet.chainlink import aggregator_artifact
from keeper.devnet.contract import Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import ensure, quiet
from keeper.devnet.releases import release_of
from keeper.devnet.sender import Sender, read

UP = 0
DOWN = 1

_ROUND_TIMEOUT_S = 1_800


class Sequencer(Struct, frozen=True, kw_only=True):
    """The contracts of the guard; `feed` is the uptime feed itself."""

    feed: Contract
    sentinel: Contract

    def report(self, live: LiveMarket, oracle_node: Sender, status: int) -> None:
        """Queue the next round of the uptime feed: `UP` or `DOWN`, since now."""
        latest: int = read(live.rpc, self.feed, "latestRound")
        oracle_node.call(self.feed, "submit", latest + 1, status)


def install_sentinel(live: LiveMarket, *, grace_s: int) -> Sequencer:
    """Give the market a sentinel whose sequencer comes up now; mines two blocks."""
    accounts = live.market.accounts
    admin = Sender.of(live.rpc, accounts.deployer)
    feed = _deploy_feed(admin, ensure("chainlink-feeds"), accounts.oracle_node)
    artifact = release_of(live.market.aave).artifacts(quiet)["PriceOracleSentinel"]
    sentinel = admin.deploy(artifact, live.provider.address, feed.address, grace_s)
    admin.call(live.provider, "setPriceOracleSentinel", sentinel.address)
    admin.mine()
    sequencer = Sequencer(feed=feed, sentinel=sentinel)
    oracle_node = Sender.of(live.rpc, accounts.oracle_node)
    sequencer.report(live, oracle_node, UP)
    oracle_node.mine()
    return sequencer


def _deploy_feed(admin: Sender, package: Path, oracle_node: Address) -> Contract:
    artifact = aggregator_artifact(package)
    bounds = (UP, DOWN)
    feed = admin.deploy(
        artifact, ZERO_ADDRESS, 0, _ROUND_TIMEOUT_S, ZERO_ADDRESS, *bounds, 0, "sequencer uptime"
    )
    admin.call(feed, "changeOracles", [], [oracle_node], [admin.account], 1, 1, 0)
    # Contracts may read an access-controlled feed only when it is open to all.
    admin.call(feed, "disableAccessCheck")
    return feed

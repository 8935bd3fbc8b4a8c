"""What the operator says about prices: how old, how far apart, how sudden they may be."""

from collections.abc import Mapping

from msgspec import Struct, field

from keeper.core.lending import Feed
from keeper.core.units import Address
from keeper.core.values import replace
from keeper.oracle.guards import SpikeRule
from keeper.oracle.second_source import Opinion


class Sequencer(Struct, frozen=True, kw_only=True):
    """A rollup's uptime feed, and how long after a stop nothing is done."""

    feed: Address
    grace_s: int


class OraclePolicy(Struct, frozen=True, kw_only=True):
    """Guards of one deployment. Keys are a feed's label or its source's address.

    Without settings only what can never be right is refused: no price, zero, negative, a bound.
    """

    heartbeats_s: Mapping[str, int] = field(default_factory=dict)
    default_heartbeat_s: int | None = None
    """For every feed with rounds that has no heartbeat of its own."""
    spike: SpikeRule | None = None
    """None acts on prices however they move."""
    most_moves_bps: Mapping[str, int] = field(default_factory=dict)
    """Of feeds that may move less, or more, than the rule says."""
    second_sources: Mapping[str, Opinion] = field(default_factory=dict)
    sequencer: Sequencer | None = None

    def heartbeat(self, feed: Feed, proxy: Address) -> int | None:
        """Return the seconds after which a feed's answer, or that of a part of it, is stale."""
        for key in (proxy, feed.label, feed.source):
            if key in self.heartbeats_s:
                return self.heartbeats_s[key]
        return self.default_heartbeat_s if feed.heartbeat_s is None else feed.heartbeat_s

    def spike_rule(self, feed: Feed) -> SpikeRule | None:
        """Return how far a feed may leap, None when it may go anywhere."""
        if self.spike is None:
            return None
        for key in (feed.label, feed.source):
            if key in self.most_moves_bps:
                return replace(self.spike, most_bps=self.most_moves_bps[key])
        return self.spike

    def opinion(self, feed: Feed) -> Opinion | None:
        """Return the second source of a feed, None when it has none."""
        return self.second_sources.get(feed.label, self.second_sources.get(feed.source))


NO_POLICY = OraclePolicy()

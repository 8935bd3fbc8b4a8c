"""Whose word counts of several that an operator, a market and a default say of a feed."""

from keeper.core.chain import Call
from keeper.core.lending import Feed
from keeper.core.units import address
from keeper.core.values import replace
from keeper.oracle.guards import SpikeRule
from keeper.oracle.policy import NO_POLICY, OraclePolicy

SOURCE, PROXY = (address("0x" + byte * 20) for byte in ("fe", "fd"))
FEED = Feed(id="weth", label="WETH", source=SOURCE, read=Call(to=SOURCE, data=b""), direct=False)
RULE = SpikeRule(most_bps=3_000, pause_blocks=3)


def test_a_heartbeat_is_that_of_the_part_else_of_the_feed_else_of_its_market_else_the_default() -> (
    None
):
    own = replace(FEED, heartbeat_s=4)
    heartbeats = {PROXY: 1, FEED.label: 2, SOURCE: 3}
    for number, key in enumerate((PROXY, FEED.label, SOURCE), 1):
        policy = OraclePolicy(heartbeats_s=dict(heartbeats), default_heartbeat_s=5)
        assert policy.heartbeat(own, PROXY) == number
        del heartbeats[key]
    policy = OraclePolicy(default_heartbeat_s=5)
    assert policy.heartbeat(own, PROXY) == 4
    assert policy.heartbeat(FEED, PROXY) == 5
    assert NO_POLICY.heartbeat(FEED, PROXY) is None


def test_how_far_a_feed_may_leap_is_its_own_by_label_or_source_else_the_rules() -> None:
    for key in (FEED.label, SOURCE):
        policy = OraclePolicy(spike=RULE, most_moves_bps={key: 500})
        assert policy.spike_rule(FEED) == replace(RULE, most_bps=500)
    both = OraclePolicy(spike=RULE, most_moves_bps={SOURCE: 1, FEED.label: 500})
    assert both.spike_rule(FEED) == replace(RULE, most_bps=500)
    assert OraclePolicy(spike=RULE, most_moves_bps={PROXY: 1}).spike_rule(FEED) == RULE
    assert OraclePolicy(most_moves_bps={FEED.label: 500}).spike_rule(FEED) is None

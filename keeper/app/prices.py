"""Watchers of prices with the guards that the configuration asks for."""

import structlog

from keeper.app.builders import protocol_file
from keeper.config.complaints import suggestion
from keeper.config.oracle_section import SecondFeedSettings, SecondPoolSettings
from keeper.config.settings import Settings
from keeper.core.ports import Reader
from keeper.oracle.feeds import Following
from keeper.oracle.guards import SpikeRule
from keeper.oracle.policy import OraclePolicy, Sequencer
from keeper.oracle.second_source import FeedOpinion, Opinion, PoolOpinion
from keeper.oracle.watcher import PriceWatcher

log = structlog.get_logger()

GUARD_IDLE = "guard.idle"


def watcher_for(settings: Settings, deployment: str, reader: Reader) -> PriceWatcher:
    """Return the watcher of a deployment's prices."""
    return PriceWatcher(reader, oracle_policy(settings, deployment))


def warning_watcher_for(settings: Settings, deployment: str, reader: Reader) -> PriceWatcher:
    """Return the watcher of a deployment's prices; it logs each guard that is of none of them."""
    told: set[str] = set()

    def tell(following: Following) -> None:
        found = set(strangers(settings, deployment, following))
        for detail in sorted(found - told):
            log.warning(GUARD_IDLE, deployment=deployment, why=detail)
        told.update(found)

    return PriceWatcher(reader, oracle_policy(settings, deployment), tell)


def oracle_policy(settings: Settings, deployment: str) -> OraclePolicy:
    """Return when prices of a deployment are not to be acted on."""
    file, chain = protocol_file(settings, deployment), settings.chain
    oracle = file.oracle
    spike = SpikeRule(most_bps=oracle.max_move_bps, pause_blocks=oracle.spike_pause_blocks)
    return OraclePolicy(
        heartbeats_s=file.heartbeats_s,
        default_heartbeat_s=oracle.default_heartbeat_s,
        spike=spike if oracle.on_spike == "pause" else None,
        most_moves_bps=oracle.max_moves_bps,
        second_sources={key: _opinion(one) for key, one in oracle.second_sources.items()},
        sequencer=Sequencer(feed=chain.sequencer.feed, grace_s=chain.sequencer.grace_s)
        if chain.sequencer
        else None,
    )


def strangers(settings: Settings, deployment: str, following: Following) -> list[str]:
    """Return what is wrong of each guard that is set for no feed of a deployment: it never acts."""
    file = protocol_file(settings, deployment)
    feeds = [one.feed for one in following.feeds.values()]
    known = {one.label for one in feeds} | {one.source for one in feeds}
    guards = (
        ("heartbeats_s", file.heartbeats_s, known | following.leaves.keys()),
        ("oracle.max_moves_bps", file.oracle.max_moves_bps, known),
        ("oracle.second_sources", file.oracle.second_sources, known),
    )
    wanted = "the label or the source of one of its feeds"
    return [
        f"{key}: expected {wanted}, found {name!r}{suggestion(name, known)}"
        for key, named, those in guards
        for name in named
        if name not in those
    ]


def _opinion(found: SecondFeedSettings | SecondPoolSettings) -> Opinion:
    if isinstance(found, SecondFeedSettings):
        return FeedOpinion(
            proxy=found.feed, most_bps=found.max_deviation_bps, decimals=found.decimals
        )
    return PoolOpinion(
        pool=found.pool,
        base=found.base,
        quote=found.quote,
        window_s=found.window_s,
        most_bps=found.max_deviation_bps,
        decimals=found.decimals,
    )

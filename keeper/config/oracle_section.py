"""``oracle`` of a protocol file: when its prices are shown but not acted on."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from keeper.config.section import Section
from keeper.config.values import AddressValue, Bps, FeedName, Positive, Whole


class SecondFeedSettings(Section):
    """Another Chainlink proxy of the same price."""

    kind: Literal["chainlink"]
    feed: AddressValue
    max_deviation_bps: Bps = 200
    """How far the two may be apart."""
    decimals: Whole = 8
    """Decimals of the protocol's own price; 8 is Aave's."""


class SecondPoolSettings(Section):
    """The mean price of a Uniswap V3 pool over a window."""

    kind: Literal["uniswap_v3"]
    pool: AddressValue
    base: AddressValue
    """The token that the feed prices."""
    quote: FeedName | None = None
    """Label of the feed that prices the pool's other token; without it that token is the unit."""
    window_s: Positive = 1_800
    max_deviation_bps: Bps = 300
    decimals: Whole = 8


SecondSourceSettings = Annotated[
    SecondFeedSettings | SecondPoolSettings, Field(discriminator="kind")
]


class OracleSettings(Section):
    """Guards of every price of a deployment."""

    default_heartbeat_s: Positive = 90_000
    """For feeds that are not in ``heartbeats_s``: Chainlink's slowest feeds update once a day."""
    max_move_bps: Bps = 3_000
    """Most that a price may move from one block to the next before ``on_spike`` counts."""
    max_moves_bps: Annotated[Mapping[FeedName, Bps], Field(default_factory=dict)]
    """Feed, by its label or its source's address, to another ``max_move_bps`` for it alone."""
    on_spike: Literal["pause", "act"] = "pause"
    spike_pause_blocks: Positive = 25
    """How long a price that stays where it leapt is not acted on."""
    second_sources: Annotated[Mapping[FeedName, SecondSourceSettings], Field(default_factory=dict)]
    """Feed, by its label or its source's address, to what else it is compared with."""

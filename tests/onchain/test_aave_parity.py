"""Whatever happens to a pool of Aave V3, the adapter reckons as the pool does, to the wei.

Hypothesis draws what happens: user actions, liquidations, flash loans, governance, guardians,
prices, time. After every block all accounts are compared with the pool, and offers of all sizes are
foretold before they are tried. KEEPER_PARITY_EXAMPLES sets how many histories are lived through.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.aave_scene import open_scene
from tests.support.market_node import MarketNode, built_market
from tests.support.parity.play import Block, Play
from tests.support.parity.stage import Props, furnish, staged
from tests.support.parity.tally import Tally
from tests.support.parity.user_steps import LIQUIDATE, USER_STEPS
from tests.support.parity.world_steps import PRICE_STEPS, WORLD_STEPS

BORROWERS = 90
EXAMPLES = "KEEPER_PARITY_EXAMPLES"
CHOSEN = os.environ.get(EXAMPLES)
FEW = 6

_USERS = st.lists(st.one_of(USER_STEPS), min_size=2, max_size=6)
_BLOCK = st.one_of(
    st.just([]),  # what other blocks shrink to
    LIQUIDATE,
    LIQUIDATE,
    _USERS,
    _USERS,
    _USERS,
    st.lists(st.one_of(PRICE_STEPS), min_size=1, max_size=2),
    st.lists(st.one_of(WORLD_STEPS), min_size=1, max_size=3),
    st.lists(st.one_of(*USER_STEPS, *PRICE_STEPS, *WORLD_STEPS), min_size=2, max_size=6),
)
HISTORIES = st.lists(_BLOCK, min_size=20, max_size=45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A furnished market."""

    node: MarketNode
    props: Props
    tally: Tally


@pytest.fixture(scope="module", params=["3.0", "3.6"])
def ground(
    anvil_binary: Path, request: pytest.FixtureRequest, parity_report: list[str]
) -> Iterator[Ground]:
    with built_market(anvil_binary, seed=7, borrowers=BORROWERS, aave=request.param) as node:
        tally = Tally()
        yield Ground(node=node, props=furnish(node.live), tally=tally)
        parity_report.extend(tally.lines(request.param))


def test_every_account_and_every_liquidation_is_foretold(ground: Ground) -> None:
    @settings(
        max_examples=int(CHOSEN or FEW),
        derandomize=CHOSEN is None,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(history=HISTORIES)
    def each(history: Sequence[Block]) -> None:
        asyncio.run(live_through(ground, history))

    each()
    tally = ground.tally
    assert tally.accounts > 8_000
    assert tally.foretold["liquidates"] > 500
    assert tally.foretold["HEALTHY"] > 50
    assert tally.mined.total() > 5
    if ground.node.market.aave == "3.6":
        assert tally.foretold["DUST"] > 10
        assert tally.written_off > 10
        assert tally.second_oracle["agrees"] > 500


async def live_through(ground: Ground, history: Sequence[Block]) -> None:
    live = ground.node.live
    with staged(live, ground.props) as stage:
        async with open_scene(live, ground.node.anvil.http_url) as scene:
            play = await Play.begin(stage, scene, ground.tally)
            for block in history:
                await play.advance(block)
            await play.end()
        ground.tally.succeeded.update(stage.succeeded)
        ground.tally.refused.update(stage.refused)

"""Faults of every kind at once, in an order that chance wrote: what must hold, holds."""

import os
from pathlib import Path

import pytest

from keeper.devnet.executor import deploy_executor
from tests.support.chain_truth import SIGNERS
from tests.support.chaos import Story
from tests.support.fault_proxy import FaultProxy
from tests.support.market_node import MarketNode
from tests.support.relay import running_relay

SEEDS = range(int(os.environ.get("KEEPER_CHAOS_SEEDS", "3")))


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_the_books_are_the_chain(
    market: MarketNode, tmp_path: Path, three_proxies: list[FaultProxy], seed: int
) -> None:
    who = market.market.accounts
    executor = deploy_executor(
        market.live.rpc,
        owner=who.deployer,
        operator=who.keeper,
        recipient=who.recipient,
        more_operators=[one.address for one in SIGNERS[1:]],
    )
    with running_relay(market.anvil.http_url) as relay:
        story = Story(
            node=market,
            folder=tmp_path,
            nodes=three_proxies,
            executor=executor,
            relay=relay,
            seed=seed,
        )
        try:
            await story.live(lives=3, steps=15)
            story.require_truth()
        except BaseException as error:
            error.add_note("\n".join(story.world.told))
            raise

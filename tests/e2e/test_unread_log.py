"""A keeper whose log nobody reads, as with a paused ``less``: it acts all the same."""

from pathlib import Path

from tests.support.keeper_process import ARMED, running_keeper, until
from tests.support.market_node import MarketNode
from tests.support.sending_stage import CHEAP, FALLEN, SendingStage
from tests.support.sending_stage import stage as staged


def test_52_a_log_that_nobody_reads_stops_neither_acting_nor_a_stop(
    market_copy: MarketNode, tmp_path: Path
) -> None:
    stage = staged(market_copy, tmp_path)
    with running_keeper(stage.config, "--arm", environment=ARMED) as keeper:
        keeper.stop_reading()
        stage.move(FALLEN, base_fee=CHEAP)
        until(lambda: stage.open_intents() > 0)
        until(lambda: mined_and_over(stage))
        landed = len(stage.books().entries)
        assert landed > 0
        keeper.reading.set()
        until(lambda: len(keeper.events("liquidation.settled")) == landed)
        blocks = [one["block"] for one in keeper.events("block.scanned")]
        assert blocks == sorted(blocks)
        assert not keeper.events("lines.lost")
        keeper.stop_reading()
        stage.drain(keeper)


def mined_and_over(stage: SendingStage) -> bool:
    stage.mine(base_fee=CHEAP)
    return not stage.open_intents()

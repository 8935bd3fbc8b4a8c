"""An executor without a key: what it shows is what it would send."""

from typing import Any

from keeper.core.units import WAD
from keeper.executor.breaker import BreakerLimits
from keeper.executor.executor import Executor, Grounds
from keeper.executor.flight import Flight
from keeper.executor.policy import Limits
from keeper.executor.standing import Standing, Triggers
from keeper.ledger.journal import SqliteJournal
from tests.support.fake_wire import FakeBlocks
from tests.support.ledger_records import HandClock
from tests.support.rehearsal_node import HEAD, Node

LIMITS = Limits(
    min_profit=WAD,
    max_gas_price=10**12,
    max_gas_per_tx=WAD,
    max_gas_per_hour=9 * WAD,
    max_gas_per_day=9 * WAD,
    max_in_flight=9,
    min_balance=0,
)


def disarmed(
    journal: SqliteJournal,
    clock: HandClock,
    node: Node,
    *,
    limits: Limits = LIMITS,
    flight: Flight | None = None,
    **grounds: Any,
) -> Executor:
    """Return an executor that rehearses at ``node``."""
    breaker = BreakerLimits(
        max_reverts_in_row=None, max_loss_per_day=None, max_wasted_gas_per_hour=None
    )
    return Executor(
        Grounds(
            reader=FakeBlocks(last=HEAD.number),  # type: ignore[arg-type]  # of blocks alone
            simulator=node,
            limits=limits,
            now=clock.now,
            overrides={},
            **grounds,
        ),
        journal=journal,
        flight=flight or Flight(),
        standing=Standing(journal, Triggers(breaker=breaker, halt_file=None), now=clock.now),
        armament=None,
    )

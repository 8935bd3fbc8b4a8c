"""What the outcomes of a time brought together, for whoever watches."""

from pathlib import Path

from msgspec import Struct

from keeper.core.plan import Status
from keeper.ledger.lifecycle import ON_CHAIN
from keeper.ledger.store import reading


class Sums(Struct, frozen=True, kw_only=True):
    """Outcomes added up. Wei."""

    counts: dict[str, int]
    """Outcomes by status."""
    net: int
    """Of what moved money; what a disarmed keeper only showed is not in it."""
    gas: int


def read_sums(path: Path, *, since: int) -> Sums:
    """Add up what was settled since a time, unix seconds. Raises ConfigError."""
    counts: dict[str, int] = {}
    net = gas = 0
    with reading(path) as db:
        rows = db.execute("SELECT status, net, gas FROM outcomes WHERE settled >= ?", (since,))
        for status, its_net, its_gas in rows:
            counts[status] = counts.get(status, 0) + 1
            if Status(status) in ON_CHAIN:
                net += int(its_net)
                gas += int(its_gas)
    return Sums(counts=counts, net=net, gas=gas)

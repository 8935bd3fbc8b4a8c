"""What sending takes: keys, a way out, and somebody who looks after what is in flight."""

from dataclasses import dataclass

from keeper.executor.desks import Desks
from keeper.executor.lanes.lane import Lane
from keeper.executor.tending import Tender


@dataclass(frozen=True, slots=True, kw_only=True)
class Armament:
    """What an armed executor has and a disarmed one has not."""

    desks: Desks
    lane: Lane
    tenders: tuple[Tender, ...]
    """One for each desk."""

"""What sending takes: keys, a way out, and somebody who looks after what is in flight."""

from msgspec import Struct

from keeper.executor.desks import Desks
from keeper.executor.lanes.lane import Lane
from keeper.executor.tending import Tender


class Armament(Struct, frozen=True, kw_only=True):
    """What an armed executor has and a disarmed one has not."""

    desks: Desks
    lane: Lane
    tenders: tuple[Tender, ...]
    """One for each desk."""

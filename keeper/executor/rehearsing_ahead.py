"""Plans rehearsed before it is known that they will be carried out as they are."""

from collections.abc import Sequence

from keeper.core.chain import BlockRef
from keeper.core.plan import Plan
from keeper.executor.armament import Armament
from keeper.executor.door import Grounds
from keeper.executor.flight import Flight
from keeper.executor.rehearse import Stage, begin
from keeper.executor.simulating_ahead import SimulatingAhead


class RehearsingAhead:
    """Begins rehearsals: no more than questions."""

    def __init__(self, grounds: Grounds, flight: Flight, armament: Armament | None) -> None:
        """Begin nothing yet."""
        self.simulator = SimulatingAhead(grounds.simulator)
        """Answers the rehearsal that was begun."""
        self._overrides = grounds.overrides
        self._flight = flight
        desks = None if armament is None else armament.desks
        self._is_shared = desks is not None and len(desks.addresses) > 1

    def begin(self, plans: Sequence[Plan], head: BlockRef, timestamp: int) -> None:
        """Begin to rehearse plans made on ``head`` that will probably be carried out next.

        Not behind what is in flight, nor where several operators share the work.
        """
        if not plans or self._flight.senders or self._is_shared:
            return
        stage = Stage(head=head, timestamp=timestamp, ahead=(), overrides=self._overrides)
        begin(plans, self.simulator, stage)

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
    """Begins rehearsals, and asks with them which chain it is: no more than questions."""

    def __init__(self, grounds: Grounds, flight: Flight, armament: Armament | None) -> None:
        """Begin nothing yet."""
        self.simulator = SimulatingAhead(grounds.simulator)
        """Answers the rehearsal that was begun."""
        self._overrides = grounds.overrides
        self._flight = flight
        self._armament = armament
        self._asked: frozenset[str] = frozenset()
        """The plans for whose signing the chain id was asked for."""

    def begin(self, plans: Sequence[Plan], head: BlockRef, timestamp: int) -> None:
        """Begin to rehearse plans made on ``head`` that will probably be carried out next.

        Not behind what is in flight, nor where several operators share the work.
        """
        desks = None if self._armament is None else self._armament.desks
        if not plans or self._flight.senders or (desks is not None and len(desks.addresses) > 1):
            return
        stage = Stage(head=head, timestamp=timestamp, ahead=(), overrides=self._overrides)
        begin(plans, self.simulator, stage)
        if desks is not None:
            desks.ask_chain(desks.addresses)
            self._asked = frozenset(one.id for one in plans)

    def has_asked(self, plans: Sequence[Plan]) -> bool:
        """Return whether the chain id was asked for to sign just these; it is good for once."""
        asked, self._asked = self._asked, frozenset()
        return bool(asked) and asked == {one.id for one in plans}

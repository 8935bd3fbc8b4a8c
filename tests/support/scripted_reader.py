"""A reader that answers calls from a script and remembers the rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keeper.core.chain import BlockRef, Call, CallResult, Log, LogFilter
from keeper.core.units import Address


@dataclass(slots=True, kw_only=True)
class ScriptedReader:
    """Answers ``call_many``; a call that the script does not know reverts, with a reason."""

    answers: Mapping[tuple[Address, bytes], bytes]
    rounds: list[list[Call]] = field(default_factory=list)
    blocks: list[BlockRef] = field(default_factory=list)
    """The block that each round was pinned to."""

    logs: Sequence[Log] = ()
    """What ``logs_at`` finds in every block, of the addresses and topics asked for."""
    asked: list[BlockRef] = field(default_factory=list)
    """The blocks whose logs were asked for."""

    async def logs_at(self, wanted: LogFilter, block: BlockRef) -> list[Log]:
        """Return the scripted logs."""
        self.asked.append(block)
        found = (log for log in self.logs if log.address in wanted.addresses)
        return [log for log in found if log.topics[0] in wanted.topics]

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        """Return the scripted answers."""
        self.rounds.append(list(calls))
        self.blocks.append(block)
        found = [self.answers.get((call.to, call.data)) for call in calls]
        return [
            CallResult(success=data is not None, data=_REASON if data is None else data)
            for data in found
        ]


def words(*values: int) -> bytes:
    """Return ABI words of signed or unsigned numbers."""
    return b"".join((value % (1 << 256)).to_bytes(32) for value in values)


_REASON = bytes.fromhex("08c379a0") + words(32, 3) + b"no!".ljust(32, b"\x00")
"""``Error("no!")``: long enough to be taken for an answer of three words."""

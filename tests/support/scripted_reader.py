"""A reader that answers calls from a script and remembers the rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.units import Address


@dataclass(slots=True, kw_only=True)
class ScriptedReader:
    """Answers ``call_many``; a call that the script does not know reverts."""

    answers: Mapping[tuple[Address, bytes], bytes]
    rounds: list[list[Call]] = field(default_factory=list)
    blocks: list[BlockRef] = field(default_factory=list)
    """The block that each round was pinned to."""

    async def call_many(self, calls: Sequence[Call], block: BlockRef) -> list[CallResult]:
        """Return the scripted answers."""
        self.rounds.append(list(calls))
        self.blocks.append(block)
        found = [self.answers.get((call.to, call.data)) for call in calls]
        return [CallResult(success=data is not None, data=data or b"") for data in found]


def words(*values: int) -> bytes:
    """Return ABI words of signed or unsigned numbers."""
    return b"".join((value % (1 << 256)).to_bytes(32) for value in values)

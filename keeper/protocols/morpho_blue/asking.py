"""Ask the chain for one deployment, naming it when an answer is wrong."""

from collections.abc import Sequence

from msgspec import Struct

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import ConfigError
from keeper.core.ports import Reader
from keeper.evm.words import WORD


class Asking(Struct, frozen=True, kw_only=True):
    """A reader at a block, for one deployment."""

    reader: Reader
    block: BlockRef
    deployment: str

    async def each(self, calls: Sequence[Call]) -> list[CallResult]:
        """Return every answer, refusals included."""
        return await self.reader.call_many(calls, self.block) if calls else []

    async def all(self, calls: Sequence[Call], what: str, words: int = 1) -> list[bytes]:
        """Return every answer; raise ConfigError when one has fewer words than it should."""
        answers = []
        for call, result in zip(calls, await self.each(calls), strict=True):
            if not result.success or len(result.data) < words * WORD:
                found = result.data.hex() or "nothing"
                expected = f"expected an answer to 0x{call.data.hex()[:8]} at {call.to}"
                msg = f"{self.deployment}: {what}: {expected}, found {found}"
                raise ConfigError(msg)
            answers.append(result.data)
        return answers


def is_word(result: CallResult) -> bool:
    """Return whether an answer is exactly one word."""
    return result.success and len(result.data) == WORD

"""Ask the contracts of a deployment; forks do not all answer the same questions."""

from collections.abc import Sequence

from msgspec import Struct

from keeper.core.chain import BlockRef, Call, CallResult
from keeper.core.errors import ConfigError
from keeper.core.ports import Reader
from keeper.evm.words import WORD


class Asking(Struct, frozen=True, kw_only=True):
    """A reader at a block, for one deployment: names the deployment when an answer is wrong."""

    reader: Reader
    block: BlockRef
    deployment: str

    async def each(self, calls: Sequence[Call]) -> list[CallResult]:
        """Return every answer, refusals included."""
        return await self.reader.call_many(calls, self.block) if calls else []

    async def maybe(self, calls: Sequence[Call]) -> list[bytes | None]:
        """Return every answer, None for a question that the contract does not know."""
        return [
            one.data if one.success and len(one.data) >= WORD else None
            for one in await self.each(calls)
        ]

    async def all(self, calls: Sequence[Call], what: str, kind: str = "") -> list[bytes]:
        """Return every answer; raise ConfigError when one is not at least a word.

        ``kind`` is what sort of contract it is whose address the configuration has.
        """
        answers = []
        for call, data in zip(calls, await self.maybe(calls), strict=True):
            if data is None:
                question = f"0x{call.data.hex()[:8]} at {call.to}"
                expected = f"expected {kind or 'a contract'} that answers {question}"
                raise ConfigError(f"{self.deployment}: {what}: {expected}, found none")
            answers.append(data)
        return answers

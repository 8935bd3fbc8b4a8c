"""Logs of many blocks, in ranges as wide as the node allows."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from keeper.chain.classify import Meaning, meaning
from keeper.chain.errors import OversizedError, SlowError
from keeper.chain.jsonrpc import NodeError, Reply, Request
from keeper.chain.log_pages import SlimLogRecord, columns_of
from keeper.chain.log_receipts import from_receipts
from keeper.chain.records import LogRecord, quantity
from keeper.chain.rpc import Rpc
from keeper.core.chain import Log, LogFilter
from keeper.core.errors import StaleError
from keeper.core.log_columns import LogColumns, joined

Progress = Callable[[int, int, int], None]
"""Is told the last block done, the last block wanted, and the logs found so far."""

_METHOD = "eth_getLogs"
_HEIGHT = "eth_blockNumber"
_WIDEST = 1_000_000
_NAMED_LIMIT = re.compile(
    r"(?:limited to|up to|max(?:imum)?|range|exceeds?)[\s:a-z]{0,12}?(\d[\d,]*)\s*(?:block|range)",
    re.IGNORECASE,
)
_CLOSE_ENOUGH = 4
_MOST_WORDS = 1_000
"""As many as geth takes for one topic."""
_LONG_BORNE = 64
"""Ranges of full width that are answered in a row before wider ones are tried again."""
_QUICK = 1_000
"""Blocks that a node tells the logs of in time, unless it answers nothing at all."""


def log_query(wanted: LogFilter, **where: str) -> dict[str, object]:
    """Return the filter object of ``eth_getLogs`` and of log subscriptions.

    No topics means any topic.
    """
    query: dict[str, object] = {"address": sorted(wanted.addresses), **where}
    if wanted.topics:
        query["topics"] = [sorted(wanted.topics)]
    if wanted.topics and 0 < len(wanted.third) <= _MOST_WORDS:
        query["topics"] = [sorted(wanted.topics), None, None, sorted(wanted.third)]
    return query


def log_values(records: Sequence[LogRecord]) -> list[Log]:
    """Return logs in the chain's order, each once, without those that a reorg removed."""
    logs = [record.value() for record in records if not record.removed]
    if all(_follows(*pair) for pair in pairwise(logs)):
        return logs
    unique = {(log.block_number, log.index, log.block_hash): log for log in logs}
    return [unique[key] for key in sorted(unique)]


def _follows(earlier: Log, later: Log) -> bool:
    if earlier.block_number == later.block_number:
        return earlier.index < later.index
    return earlier.block_number < later.block_number


@dataclass(slots=True)
class _Width:
    """What one provider bears: the widest range answered and the narrowest refused."""

    answered: int = 0
    refused: int | None = None
    borne: int = 0
    """Ranges of full width answered since one was refused, or a wider one was last tried."""

    def bear(self, blocks: int, *, is_full: bool) -> None:
        """Take note of a range that was answered; of many in a row, that wider ones may be.

        One dense block must not narrow the ranges of all blocks after it: there are millions.
        """
        self.answered = max(self.answered, blocks)
        self.borne += is_full
        if self.refused is not None and self.borne >= _LONG_BORNE:
            self.refused, self.borne = 2 * self.refused, 0


class LogRanges:
    """Reads ranges, narrows those that a node finds too wide, and remembers what each bears.

    The width is searched between the widest that was answered and the narrowest refused, and anew
    above that once a long stretch was read at it.
    """

    def __init__(self, rpc: Rpc, *, widest: int = _WIDEST) -> None:
        self._rpc = rpc
        self._widest = widest
        self._widths: dict[str, _Width] = {}

    @property
    def span(self) -> int:
        """Return how many blocks the next range will have at most."""
        width = self._width
        if width.refused is None:
            return self._widest
        if width.answered >= (width.refused - width.answered) * _CLOSE_ENOUGH:
            return width.answered
        return min(max((width.answered + width.refused) // 2, 1), self._widest)

    @property
    def _width(self) -> _Width:
        """Return what is known of the node that answers now."""
        return self._widths.setdefault(self._rpc.name, _Width())

    async def read(
        self, wanted: LogFilter, first: int, last: int, progress: Progress | None = None
    ) -> list[Log]:
        """Return the logs from ``first`` to ``last``, both included.

        Raises NodeRefusedError when the node refuses the logs even of a single block, and its
        receipts too, and StaleError when it has not come to ``last`` yet.
        """
        logs: list[Log] = []

        def take(reply: Reply) -> int:
            logs.extend(log_values(self._rpc.decode(list[LogRecord], _METHOD, reply)))
            return len(logs)

        await self._each(wanted, (first, last), take, progress)
        return logs

    async def read_columns(
        self, wanted: LogFilter, first: int, last: int, progress: Progress | None = None
    ) -> LogColumns:
        """Return the logs as columns. Raises as ``read``."""
        pages: list[LogColumns] = []

        def take(reply: Reply) -> int:
            pages.append(columns_of(self._rpc.decode(list[SlimLogRecord], _METHOD, reply)))
            return sum(map(len, pages))

        await self._each(wanted, (first, last), take, progress)
        return joined(pages)

    async def _each(
        self,
        wanted: LogFilter,
        blocks: tuple[int, int],
        take: Callable[[Reply], int],
        progress: Progress | None,
    ) -> None:
        """Hand over the reply for each range; ``take`` returns how many logs there were so far."""
        at, last = blocks
        while at <= last:
            span = self.span
            end = min(at + span - 1, last)
            try:
                reply = await self._ask(wanted, at, end)
            except (SlowError, OversizedError) as error:
                least = _QUICK if isinstance(error, SlowError) else 1
                if not self._shorten(end - at + 1, least=least):
                    raise
                continue
            if isinstance(reply, NodeError):
                if self._narrow(reply, end - at + 1):
                    continue
                reply = await from_receipts(self._rpc, wanted, hex(at), reply)
            found = take(reply)
            self._width.bear(end - at + 1, is_full=end - at + 1 == span)
            at = end + 1
            if progress is not None:
                progress(end, last, found)

    async def _ask(self, wanted: LogFilter, first: int, last: int) -> Reply:
        """Return the reply; raise StaleError when the node has not come so far yet.

        Nodes answer for blocks that they do not have as for blocks without logs.
        """
        query = log_query(wanted, fromBlock=hex(first), toBlock=hex(last))
        height, reply = await self._rpc.ask_many(
            [Request(method=_HEIGHT), Request(method=_METHOD, params=(query,))]
        )
        head = quantity(self._rpc.decode(str, _HEIGHT, height))
        if head < last:
            raise StaleError(f"{self._rpc.name}: expected block {last}, found {head} the newest")
        return reply

    def _shorten(self, asked: int, *, least: int) -> bool:
        """Take much narrower ranges where one took too long, or was; tell if that may help.

        Many nodes limit nothing, and search a million blocks for longer than anybody waits.
        """
        if asked <= least:
            return False
        width = self._width
        width.answered, width.refused = min(width.answered, asked // 4), asked // 2
        width.borne = 0
        return True

    def _narrow(self, error: NodeError, asked: int) -> bool:
        """Take a narrower range from now on; tell whether that may help."""
        if meaning(_METHOD, error) is not Meaning.TOO_WIDE or asked <= 1:
            return False
        named = _NAMED_LIMIT.search(error.message)
        limit = int(named[1].replace(",", "")) if named else 0
        width = self._width
        width.borne = 0
        if 0 < limit < asked:
            width.answered, width.refused = limit, limit + 1
        else:
            # What was answered before may be too wide here: logs are denser in some blocks.
            width.answered = min(width.answered, asked // 2)
            width.refused = asked
        return True

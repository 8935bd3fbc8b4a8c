"""Logs of many blocks, in ranges as wide as the node allows."""

import re
from collections.abc import Callable, Sequence

import msgspec

from keeper.chain.classify import Meaning, meaning
from keeper.chain.jsonrpc import NodeError
from keeper.chain.records import LogRecord
from keeper.chain.rpc import Rpc
from keeper.core.chain import Log, LogFilter

Progress = Callable[[int, int, int], None]
"""Is told the last block done, the last block wanted, and the logs found so far."""

_METHOD = "eth_getLogs"
_WIDEST = 1_000_000
_NAMED_LIMIT = re.compile(
    r"(?:limited to|up to|max(?:imum)?(?: is| of|:)?|range(?: of)?|exceeds?)\s*(?:a\s*)?"
    r"(\d[\d,]*)\s*(?:block|range)",
    re.IGNORECASE,
)


def log_query(wanted: LogFilter, **where: str) -> dict[str, object]:
    """Return the filter object of ``eth_getLogs`` and of log subscriptions.

    No topics means any topic.
    """
    query: dict[str, object] = {"address": sorted(wanted.addresses), **where}
    if wanted.topics:
        query["topics"] = [sorted(wanted.topics)]
    return query


def log_values(records: Sequence[LogRecord]) -> list[Log]:
    """Return logs in the chain's order, each once, without those that a reorg removed."""
    values = {
        (log.block_number, log.index, log.block_hash): log
        for log in (record.value() for record in records)
        if not log.removed
    }
    return [values[key] for key in sorted(values)]


class LogRanges:
    """Reads ranges, halves those that the node finds too wide, and remembers how wide it bears."""

    def __init__(self, rpc: Rpc, *, widest: int = _WIDEST) -> None:
        self._rpc = rpc
        self._limit = widest
        self._span = widest

    @property
    def span(self) -> int:
        """Return how many blocks the next range will have at most."""
        return self._span

    async def read(
        self, wanted: LogFilter, first: int, last: int, progress: Progress | None = None
    ) -> list[Log]:
        """Return the logs from ``first`` to ``last``, both included.

        Raises NodeRefusedError when the node refuses the logs even of a single block.
        """
        logs: list[Log] = []
        at = first
        while at <= last:
            end = min(at + self._span - 1, last)
            query = log_query(wanted, fromBlock=hex(at), toBlock=hex(end))
            reply = await self._rpc.ask(_METHOD, query)
            if isinstance(reply, NodeError) and self._narrow(reply, end - at + 1):
                continue
            logs += log_values(self._rpc.decode(list[LogRecord], _METHOD, reply))
            self._span = min(self._span * 2, self._limit)
            at = end + 1
            if progress is not None:
                progress(end, last, len(logs))
        return logs

    def _narrow(self, error: NodeError, asked: int) -> bool:
        """Take a narrower range from now on; tell whether that may help."""
        if meaning(_METHOD, error) is not Meaning.TOO_WIDE or asked <= 1:
            return False
        named = _NAMED_LIMIT.search(error.message)
        if named and 0 < (limit := int(named[1].replace(",", ""))) < asked:
            self._limit = limit
            self._span = limit
        else:
            self._span = asked // 2
        return True


def decode_log(raw: msgspec.Raw) -> Log:
    """Return the log of a notification; raise msgspec.DecodeError on another shape."""
    return msgspec.json.decode(raw, type=LogRecord).value()

"""What events of a block, or a pending update, announce of feeds' answers."""

from collections.abc import Iterable, Sequence

from keeper.core.chain import Log
from keeper.core.pending import PendingPrice
from keeper.core.units import Address, Hash32
from keeper.core.values import replace
from keeper.oracle.book import Evidence
from keeper.oracle.chainlink import decode_answer
from keeper.oracle.feeds import Following


class Heard:
    """Events as they come, one by one: a price may be made by several of a block together."""

    def __init__(self) -> None:
        """Begin without any."""
        self._block: Hash32 | None = None
        self._newest: dict[Address, Log] = {}
        """Of the newest one's block, by aggregator: there may be very many of one."""

    def before(self, log: Log, following: Following, evidence: Evidence) -> Evidence:
        """Return the evidence after what others' logs of its block told before it; note the log."""
        if log.block_hash != self._block:
            self._block, self._newest = log.block_hash, {}
        others = [one for key, one in self._newest.items() if key != log.address]
        if log.removed:
            self._newest.pop(log.address, None)
        elif log.address in following.by_aggregator:
            self._newest[log.address] = log
        return heard_in(following, evidence, others) if others else evidence


def tells_answer(log: Log) -> bool:
    """Return whether a log announces an answer that stands."""
    return not log.removed and decode_answer(log) is not None


def said_in(logs: Iterable[Log]) -> dict[Address, int]:
    """Return the newest answer of each aggregator that events tell."""
    told = ((log.address, decode_answer(log)) for log in logs if not log.removed)
    return {aggregator: said[0] for aggregator, said in told if said is not None}


def heard_in(following: Following, evidence: Evidence, logs: Sequence[Log]) -> Evidence:
    """Return the evidence with the rounds that events announce."""
    rounds = dict(evidence.rounds)
    for log in logs:
        said = decode_answer(log)
        touched = following.by_aggregator.get(log.address, ())
        leaves = {leaf for key in touched for leaf in following.feeds[key].leaves}
        for leaf in leaves:
            known = rounds.get(leaf.proxy)
            is_told = leaf.aggregator == log.address and not leaf.is_late
            if said and known and is_told:
                rounds[leaf.proxy] = replace(known, answer=said[0], updated_at=said[1])
    return replace(evidence, rounds=rounds)


def foretold_in(
    following: Following, evidence: Evidence, pending: PendingPrice, now: int
) -> Evidence:
    """Return the evidence with the rounds that an update would make ``now``, unix seconds."""
    leaves = (leaf for key in pending.prices for leaf in following.feeds[key].leaves)
    told = {leaf.proxy for leaf in leaves if leaf.aggregator == pending.aggregator}
    made = {
        proxy: replace(known, answer=pending.answer, updated_at=now)
        for proxy in told
        if (known := evidence.rounds.get(proxy)) is not None
    }
    return replace(evidence, rounds={**evidence.rounds, **made})

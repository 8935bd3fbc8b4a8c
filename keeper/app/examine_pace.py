"""Hold heartbeats against how often feeds are updated: one given in milliseconds guards nothing."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from keeper.core.chain import BlockRef
from keeper.core.ports import Reader
from keeper.core.units import Address
from keeper.evm.words import ask_int, int_at, selector
from keeper.oracle.chainlink import decode_round, round_call
from keeper.oracle.feeds import FollowedFeed

LONGEST_S: Final = 172_800
"""Two days: hardly any feed is left alone for longer, and what is no longer is not asked about."""
TIMES: Final = 100
"""So many times the longest wait of late no heartbeat is by intent."""
ROUNDS: Final = 24

_ROUND: Final = selector("getRoundData(uint80)")


async def idle_heartbeats(
    reader: Reader, feeds: Mapping[str, FollowedFeed], head: BlockRef
) -> list[str]:
    """Return what is wrong of each heartbeat that no feed could ever miss."""
    found: list[str] = []
    for one in feeds.values():
        for proxy, heartbeat_s in one.heartbeats_s.items():
            if heartbeat_s <= LONGEST_S:
                continue
            wait_s = await longest_wait_s(reader, proxy, head)
            if wait_s is not None and heartbeat_s >= TIMES * max(wait_s, 1):
                expected = f"expected a heartbeat near its updates, which were {wait_s} s apart"
                found.append(f"{one.feed.label}: {expected} at most, found {heartbeat_s} s")
    return list(dict.fromkeys(found))


async def longest_wait_s(reader: Reader, proxy: Address, head: BlockRef) -> int | None:
    """Return the longest wait of a feed's last rounds, until now, None where it has too few."""
    (newest,) = await reader.call_many([round_call(proxy)], head)
    if decode_round(newest) is None:
        return None
    last = int_at(newest.data, 0)
    calls = [ask_int(proxy, _ROUND, last - back) for back in range(1, ROUNDS) if last > back]
    rounds = map(decode_round, [newest, *await reader.call_many(calls, head)])
    at = sorted(one.updated_at for one in rounds if one is not None and one.updated_at)
    if len(at) < 3:  # noqa: PLR2004 - two waits are the fewest that say anything
        return None
    return max(after - before for before, after in pairwise([*at, head.timestamp]))

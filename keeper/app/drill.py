"""An event as a node would push it, to go the whole way of one without sending anything.

A processor forgets what it does rarely: the way from bytes to a signed transaction takes a few
times as long when it was not gone for a while. Going it every few milliseconds keeps it fast.
"""

from typing import Final

import msgspec

from keeper.chain.subscriptions import DRILL
from keeper.core.units import Address
from keeper.oracle.chainlink import ANSWER_UPDATED

DRILL_INDEX: Final = "-0x1"
"""The index of the log: no chain has such a one."""


def sample_event(aggregator: Address, answer: int, block: int) -> bytes:
    """Return the push of an aggregator's new answer in a block."""
    told = {
        "address": aggregator,
        "topics": [ANSWER_UPDATED, f"0x{answer:064x}", f"0x{1:064x}"],
        "data": f"0x{1:064x}",
        "blockHash": f"0x{block:064x}",
        "blockNumber": hex(block),
        "transactionHash": f"0x{1:064x}",
        "transactionIndex": "0x0",
        "logIndex": DRILL_INDEX,
        "removed": False,
    }
    params = {"subscription": DRILL, "result": told}
    push = {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}
    return msgspec.json.encode(push)

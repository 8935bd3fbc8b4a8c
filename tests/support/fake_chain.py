"""A made-up chain behind a fake node: it grows, forks, shrinks, and tells by push."""

from typing import Any

from tests.support.fake_node import FakeNode, Refusal, header


class FakeChainNode:
    """Answers block and log questions of a fake node from one canonical chain."""

    def __init__(self, node: FakeNode, *, first: int, last: int) -> None:
        self.node = node
        self.blocks: dict[int, dict[str, str]] = {}
        self.every: dict[str, dict[str, str]] = {}
        self.logs: list[dict[str, Any]] = []
        for number in range(first, last + 1):
            self.add(number)
        node.answers["eth_getBlockByNumber"] = self._by_number
        node.answers["eth_getBlockByHash"] = lambda params: self.every.get(params[0])
        node.answers["eth_blockNumber"] = lambda _: self.head["number"]
        node.answers["eth_getLogs"] = self._logs

    @property
    def head(self) -> dict[str, str]:
        return self.blocks[max(self.blocks)]

    def add(self, number: int, *, fork: str = "a", parent_fork: str | None = None) -> None:
        """Make a block the head; blocks at and above its number are no longer canonical."""
        self.shrink(number - 1)
        made = header(number, fork=fork, parent_fork=parent_fork)
        self.blocks[number] = made
        self.every[made["hash"]] = made

    def shrink(self, last: int) -> None:
        self.blocks = {number: block for number, block in self.blocks.items() if number <= last}

    async def push_head(self) -> None:
        await self.node.push("0x1", self.head)

    def add_log(self, log: dict[str, Any]) -> dict[str, Any]:
        self.logs.append(log)
        return log

    def _by_number(self, params: list[Any]) -> Any:
        return self.head if params[0] == "latest" else self.blocks.get(int(params[0], 16))

    def _logs(self, params: list[Any]) -> Any:
        query = params[0]
        if "blockHash" in query:
            if query["blockHash"] not in self.every:
                return Refusal(code=-32000, message="unknown block")
            return [log for log in self.logs if log["blockHash"] == query["blockHash"]]
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        return [log for log in self.logs if first <= int(log["blockNumber"], 16) <= last]


def log_record(
    number: int, index: int = 0, *, address: str, fork: str = "a", removed: bool = False
) -> dict[str, Any]:
    """Return a log as a node writes it."""
    return {
        "address": address,
        "topics": ["0x" + "01" * 32],
        "data": "0x01",
        "blockNumber": hex(number),
        "blockHash": header(number, fork=fork)["hash"],
        "transactionHash": header(number, fork="t")["hash"],
        "transactionIndex": "0x0",
        "logIndex": hex(index),
        "removed": removed,
    }

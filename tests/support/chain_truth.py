"""Journal and books of a keeper held to the chain, as the node itself tells it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keeper.commands.local_run import Purse
from keeper.core.plan import Status
from keeper.core.units import Address, address_of_word
from keeper.devnet.accounts import KEEPER_KEY
from keeper.devnet.morpho import LocalMorpho
from keeper.evm.keys import parse_key
from keeper.evm.transaction import LocalSigner
from keeper.evm.words import word_of_address
from keeper.ledger.books import read_books
from keeper.protocols.morpho_blue.codec import LIQUIDATE_EVENT, PRE_LIQUIDATE_EVENT
from tests.support.chain_books import LIQUIDATION_CALL
from tests.support.market_node import MarketNode
from tests.support.relay import tx_hash

KEYS: Final = (parse_key(KEEPER_KEY), b"\x31" * 32, b"\x32" * 32)
SIGNERS: Final = [LocalSigner(key, chain_id=31337) for key in KEYS]
"""Whoever may send for the keeper."""
MOST_FEE: Final = 200 * 10**9
"""What the local market's files allow, wei per gas."""


@dataclass(kw_only=True)
class Truth:
    """What is true of a keeper from the moment that this is made."""

    node: MarketNode
    database: Path
    executor: Address
    morpho: LocalMorpho | None = None
    """Where there is a second deployment on the chain."""

    strange: set[str] = field(default_factory=set)
    """Hashes of what somebody else sent with our keys."""

    def __post_init__(self) -> None:
        self._before = self._held()
        self.start = self._height()

    def require(self) -> None:
        """Hold journal and books to the chain; nothing may be open any more."""
        books, plans, blocks = read_books(self.database), self._column("plan_id"), self._ours()
        ours = list(blocks)
        assert books.open_intents == 0
        assert [one for one in ours if one not in plans] == [], "sent and not in the journal"
        landed = {str(one.tx_hash) for one in books.entries if one.status is Status.LANDED}
        assert landed == self._liquidations(), "landed in the books and on the chain"
        ran = [plans[one] for one in ours]
        assert [one for one in set(ran) if ran.count(one) > 1] == [], "an intent ran twice"
        known = {str(one.tx_hash): one.block for one in books.entries if one.block is not None}
        assert known == blocks, "the outcomes in the books and on the chain, by their blocks"
        grown = self._held() + self._spent_by_others() - self._before
        assert books.total.realised.net == grown

    def leaked(self, sent: Sequence[str]) -> list[str]:
        """Return the hashes of raw transactions that were signed for another lane."""
        lanes = self._column("lane")
        hashes = {tx_hash(raw) for raw in sent}
        return [one for one in hashes if lanes.get(one, "mempool") != "mempool"]

    def _column(self, name: str) -> dict[str, str]:
        """Return what the journal says of each transaction that was ever signed, by its hash."""
        query = f"SELECT tx_hash, {name} FROM submissions"  # noqa: S608 - our own names
        with closing(sqlite3.connect(self.database)) as db:
            return dict(db.execute(query).fetchall())

    def _height(self) -> int:
        return int(self.node.live.rpc.call("eth_blockNumber"), 16)

    def _held(self) -> int:
        """Return what our accounts hold, wei."""
        market, rpc = self.node.market, self.node.live.rpc
        first, *others = (one.address for one in SIGNERS)
        purse = Purse(
            operator=first, recipient=market.accounts.recipient, wrapped_native=market.weth
        )
        balances = (int(rpc.call("eth_getBalance", one, "latest"), 16) for one in others)
        return purse.count(rpc) + sum(balances)

    def _spent_by_others(self) -> int:
        """Return what it cost that somebody else used our keys, wei."""
        rpc = self.node.live.rpc
        receipts = [rpc.call("eth_getTransactionReceipt", one) for one in self.strange]
        landed = [one for one in receipts if one is not None]
        return sum(int(one["gasUsed"], 16) * int(one["effectiveGasPrice"], 16) for one in landed)

    def _ours(self) -> dict[str, int]:
        """Return the blocks of our keys' transactions on the chain, by their hashes."""
        rpc, keys = self.node.live.rpc, {one.address for one in SIGNERS}
        numbers = range(self.start + 1, self._height() + 1)
        blocks = (rpc.call("eth_getBlockByNumber", hex(one), True) for one in numbers)
        ours = [
            one
            for block in blocks
            for one in block["transactions"]
            if one["from"] in keys and one["hash"] not in self.strange
        ]
        assert [one for one in ours if int(one["maxFeePerGas"], 16) > MOST_FEE] == [], "too dear"
        return {one["hash"]: int(one["blockNumber"], 16) for one in ours}

    def _liquidations(self) -> set[str]:
        """Return the hashes of the transactions in which our executor liquidated."""
        rpc, start = self.node.live.rpc, hex(self.start)
        wanted = {
            "address": self.node.market.pool,
            "fromBlock": start,
            "topics": [LIQUIDATION_CALL],
        }
        found = [
            log["transactionHash"]
            for log in rpc.call("eth_getLogs", wanted)
            if address_of_word("0x" + log["data"][130:194]) == self.executor
        ]
        if self.morpho is not None:
            early = [one.early for one in self.morpho.markets if one.early is not None]
            kinds = [LIQUIDATE_EVENT, PRE_LIQUIDATE_EVENT]
            by_us = "0x" + word_of_address(self.executor).hex()
            wanted = {
                "address": [self.morpho.morpho.address, *early],
                "fromBlock": start,
                "topics": [kinds, None, by_us],
            }
            found += [log["transactionHash"] for log in rpc.call("eth_getLogs", wanted)]
        return set(found)

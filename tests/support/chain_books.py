"""The keeper's books against the liquidations on a local chain."""

from keeper.core.plan import Status
from keeper.core.units import address_of_word
from keeper.ledger.books import Books
from tests.support.market_node import MarketNode

LIQUIDATION_CALL = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"


def assert_books_are_the_chain(books: Books, node: MarketNode, executor: str) -> None:
    """Every liquidation of ours on chain is one landed outcome, and the other way round."""
    wanted = {
        "address": node.market.pool,
        "fromBlock": hex(node.market.ready_block),
        "topics": [LIQUIDATION_CALL],
    }
    found = [
        log
        for log in node.live.rpc.call("eth_getLogs", wanted)
        if address_of_word("0x" + log["data"][2 + 128 : 2 + 192]) == executor
    ]
    landed = [entry for entry in books.entries if entry.status is Status.LANDED]
    assert len(found) >= 10
    # A plan of several steps is several liquidations of one account in one transaction.
    hashes = [str(entry.tx_hash) for entry in landed]
    assert sorted({log["transactionHash"] for log in found}) == sorted(hashes)
    assert len({entry.plan_id for entry in books.entries}) == len(books.entries)

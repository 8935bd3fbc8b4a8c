"""Updates of an oracle that are pending."""

from keeper.devnet.sender import Sender, read_all
from tests.support.fault_desk import Desk


def submit(desk: Desk, answer: int, *, sender: str | None = None) -> str:
    """Send an oracle's answer without mining it; return the transaction's hash."""
    live = desk.node.live
    node = Sender.of(live.rpc, sender or live.market.accounts.oracle_node)
    aggregator = live.aggregators["WETH"]
    ((number,),) = (read_all(live.rpc, [(aggregator, "latestRound", ())]),)
    node.call(aggregator, "submit", number + 1, answer)
    ((_, tx_hash),) = node.submit()
    return str(tx_hash)

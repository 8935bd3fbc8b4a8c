"""Updates of an oracle that are pending."""

from keeper.devnet.live import LiveMarket
from keeper.devnet.sender import Sender, read_all


def submit(live: LiveMarket, answer: int, *, sender: str | None = None) -> str:
    """Send an oracle's answer without mining it; return the transaction's hash."""
    node = Sender.of(live.rpc, sender or live.market.accounts.oracle_node)
    aggregator = live.aggregators["WETH"]
    ((number,),) = (read_all(live.rpc, [(aggregator, "latestRound", ())]),)
    node.call(aggregator, "submit", number + 1, answer)
    ((_, tx_hash),) = node.submit()
    return str(tx_hash)

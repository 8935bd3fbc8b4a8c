"""Move the local market's prices: rounds of the feeds, and trades that bring the exchange along."""

from collections.abc import Mapping

from keeper.devnet.chainlink import submit_answers
from keeper.devnet.live import LiveMarket
from keeper.devnet.sender import Sender, check_receipts, held_mining, read_all
from keeper.devnet.uniswap import queue_moves


def oracle_prices(live: LiveMarket) -> dict[str, int]:
    """Return each asset's price as Aave's oracle gives it now (8 decimals)."""
    assets = live.market.assets
    calls = [(live.oracle, "getAssetPrice", (asset.token,)) for asset in assets]
    answers = read_all(live.rpc, calls)
    return {asset.symbol: answer for asset, answer in zip(assets, answers, strict=True)}


def push_price(live: LiveMarket, symbol: str, answer: int) -> int:
    """Submit one new answer (8 decimals) to a feed's aggregator and return the block it is in."""
    return push_prices(live, {symbol: answer})


def push_prices(live: LiveMarket, answers: Mapping[str, int]) -> int:
    """Submit new answers (8 decimals) to the aggregators, all in the one block returned."""
    return _mine_moves(live, answers, exchange=False)


def move_market(live: LiveMarket, answers: Mapping[str, int]) -> int:
    """Move feeds and exchange to new prices (8 decimals), all in the one block returned.

    The arbitrage comes with it, because a feed follows its markets: an exchange left at the old
    price would make every liquidation look absurdly profitable.
    """
    return _mine_moves(live, answers, exchange=True)


def _mine_moves(live: LiveMarket, answers: Mapping[str, int], *, exchange: bool) -> int:
    rpc, accounts = live.rpc, live.market.accounts
    oracle_node = Sender.of(rpc, accounts.oracle_node)
    submit_answers(rpc, oracle_node, live.aggregators, answers)
    arbitrageur = Sender.of(rpc, accounts.arbitrageur)
    if exchange:
        prices = {**oracle_prices(live), **answers}
        queue_moves(arbitrageur, live.swap_router, live.exchange_pools, prices)
    with held_mining(rpc):
        sent = [*arbitrageur.submit(), *oracle_node.submit()]
        rpc.call("evm_mine")
    receipts = check_receipts(rpc, sent)
    return int(receipts[-1]["blockNumber"], 16)

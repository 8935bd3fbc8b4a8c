"""Local quotes are a real pair's own, to the wei."""

from random import Random

from keeper.chain.session import ChainOptions, open_chain
from keeper.devnet.sender import Sender
from keeper.devnet.uniswap_v2 import deploy_uniswap_v2, open_pair
from keeper.venues.uniswap_v2.venue import UniswapV2Settings, UniswapV2Venue
from tests.support.market_node import MarketNode


async def test_a_pair_gives_what_is_quoted_and_not_a_unit_more(market_copy: MarketNode) -> None:
    """Each block's swap leaves the pair as counted on; the next one is read only for its log."""
    live, random = market_copy.live, Random(3)  # noqa: S311 - amounts, not secrets
    weth, usdc = live.tokens["WETH"], live.tokens["USDC"]
    trader = Sender.of(live.rpc, live.market.accounts.supplier)
    exchange = deploy_uniswap_v2(trader)
    pair = open_pair(trader, exchange, ((weth, 100 * 10**18 + 7), (usdc, 300_000 * 10**6 + 11)))
    trader.mine()
    options = ChainOptions(chain_id=live.market.chain_id, multicall3=live.market.multicall3)
    async with open_chain(market_copy.anvil.http_url, options) as chain:
        venue = UniswapV2Venue(chain.reader, UniswapV2Settings(factory=exchange.factory.address))
        wanted = [(weth.address, usdc.address)]
        for turn in range(12):
            book = await venue.snapshot(wanted, await chain.reader.head())
            sold, bought = (weth, usdc) if random.random() < 0.5 else (usdc, weth)
            (hop,) = book.hops(sold.address, bought.address)
            amount = random.randint(1, 10**19 if bought is weth else 10**10)
            swap = book.buy(hop, amount)
            if turn % 3:
                assert swap is not None
                swap = book.sell(hop, swap.amount_in)
            assert swap is not None
            outs = [0, swap.amount_out] if sold.address < bought.address else [swap.amount_out, 0]
            more = [out + 1 if out else 0 for out in outs]
            trader.call(sold, "transfer", pair.address, swap.amount_in)
            trader.mine()
            assert refuses(
                trader, pair.address, pair.encode("swap", *more, trader.account, b"")
            ) or (turn % 3 == 0)
            trader.call(pair, "swap", *outs, trader.account, b"")
            trader.mine()
            now = await venue.snapshot(wanted, await chain.reader.head())
            assert now == book.after(hop, swap)


def refuses(trader: Sender, to: str, data: bytes) -> bool:
    body = {"from": trader.account, "to": to, "data": "0x" + data.hex()}
    ((_, reply),) = trader.rpc.try_batch([("eth_call", (body, "latest"))])
    return "error" in reply

"""An oracle that reads an asset through an adapter: a feed's answer times a ratio."""

from keeper.devnet.contract import Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.sender import Sender
from tests.support.executor_stage import compile_hostile


def read_by_ratio(live: LiveMarket, symbol: str, *, of: str, ratio: int) -> Contract:
    """Have the market's oracle read an asset as a feed's answer times a ratio, 1e18 for one."""
    owner = Sender.of(live.rpc, live.market.accounts.deployer)
    adapter = owner.deploy(compile_hostile()["RatioAdapter"], live.market.asset(of).feed)
    owner.call(adapter, "setRatio", ratio)
    owner.call(live.oracle, "setAssetSources", [live.market.asset(symbol).token], [adapter.address])
    owner.mine()
    return adapter

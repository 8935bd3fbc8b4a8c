"""VAI for sale: minted by its owner, and pooled with USDC at par on the local exchange."""

from math import isqrt
from typing import Final

from keeper.core.units import WAD
from keeper.devnet.contract import Contract
from keeper.devnet.live import LiveMarket
from keeper.devnet.packages import MARKET_PACKAGES, ensure_all
from keeper.devnet.sender import Sender
from keeper.devnet.tokens import fund
from keeper.devnet.uniswap import LOWEST_FEE, exchange_artifacts

_DOLLARS: Final = 4_000_000
_PURSE: Final = 10_000_000 * WAD
"""What the supplier keeps, to liquidate with in tests."""
_PAR_TICK: Final = 276_324
"""Of a raw unit of 6 decimals in raw units of 18, a dollar each: ``log(1e12) / log(1.0001)``."""
_REACH: Final = 100
"""Ticks to each side: one percent."""
_FOREVER: Final = 2**40


def sell_vai(deployer: Sender, supplier: Sender, live: LiveMarket, vai: Contract) -> None:
    """Queue a purse of VAI for the supplier, and its pool."""
    deployer.call(vai, "mint", supplier.account, _PURSE + _DOLLARS * WAD)
    deployer.mine()
    usdc = live.tokens["USDC"]
    fund(supplier, live.tokens, supplier.account, {"USDC": _DOLLARS * 10**6})
    manager = Contract(
        artifact=exchange_artifacts(ensure_all(MARKET_PACKAGES)).position_manager,
        address=live.market.position_manager,
    )
    for token in (vai, usdc):
        supplier.call(token, "approve", manager.address, 2**256 - 1)
    amounts = {vai.address: _DOLLARS * WAD, usdc.address: _DOLLARS * 10**6}
    token0, token1 = sorted(amounts, key=lambda one: int(one, 16))
    middle = _PAR_TICK if token0 == usdc.address else -_PAR_TICK - 1
    price = isqrt((amounts[token1] << 192) // amounts[token0])
    create = "createAndInitializePoolIfNecessary"
    supplier.call(manager, create, token0, token1, LOWEST_FEE, price)
    position = (
        *(token0, token1, LOWEST_FEE, middle - _REACH, middle + _REACH),
        *(amounts[token0], amounts[token1], 0, 0, supplier.account, _FOREVER),
    )
    supplier.call(manager, "mint", position)

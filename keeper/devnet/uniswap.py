"""Uniswap V3: the real factory, routers and quoter, with concentrated liquidity at a price."""

from collections.abc import Mapping, Sequence
from math import floor, isqrt, log
from pathlib import Path

from msgspec import Struct

from keeper.core.units import ZERO_ADDRESS, Address
from keeper.devnet.assets import ASSETS, POOLS, PoolSpec
from keeper.devnet.contract import Artifact, Contract, load_artifact
from keeper.devnet.rpc import Rpc
from keeper.devnet.sender import Sender, read_all

LOWEST_FEE = 100
"""The 0.01 % tier, which a new factory does not have until its owner enables it."""

_TICK_SPACING = {100: 1, 500: 10, 3_000: 60}
_FOREVER = 2**40
_USD = 10**8
_BPS = 10_000


class Uniswap(Struct, frozen=True, kw_only=True):
    """The exchange's contracts."""

    factory: Contract
    position_manager: Contract
    swap_router: Contract
    swap_router_02: Contract
    quoter: Contract


class Pair(Struct, frozen=True, kw_only=True):
    """The two tokens of a pool in its own order, which is that of their addresses."""

    symbol0: str
    symbol1: str
    token0: Address
    token1: Address
    fee: int


class ExchangeArtifacts(Struct, frozen=True, kw_only=True):
    """What the exchange is deployed from."""

    factory: Artifact
    pool: Artifact
    position_manager: Artifact
    swap_router: Artifact
    swap_router_02: Artifact
    quoter: Artifact


def exchange_artifacts(folders: Mapping[str, Path]) -> ExchangeArtifacts:
    """Return the artifacts of Uniswap's three packages, given the packages' folders by name."""

    def load(package: str, place: str) -> Artifact:
        name = place.rpartition("/")[2]
        return load_artifact(folders[package] / f"artifacts/contracts/{place}.sol/{name}.json")

    return ExchangeArtifacts(
        factory=load("uniswap-v3-core", "UniswapV3Factory"),
        pool=load("uniswap-v3-core", "UniswapV3Pool"),
        position_manager=load("uniswap-v3-periphery", "NonfungiblePositionManager"),
        swap_router=load("uniswap-v3-periphery", "SwapRouter"),
        swap_router_02=load("uniswap-swap-router", "SwapRouter02"),
        quoter=load("uniswap-v3-periphery", "lens/QuoterV2"),
    )


def deploy_uniswap(sender: Sender, artifacts: ExchangeArtifacts, weth: Address) -> Uniswap:
    """Queue the exchange's contracts."""
    factory = sender.deploy(artifacts.factory)
    sender.call(factory, "enableFeeAmount", LOWEST_FEE, _TICK_SPACING[LOWEST_FEE])
    manager = sender.deploy(artifacts.position_manager, factory.address, weth, ZERO_ADDRESS)
    return Uniswap(
        factory=factory,
        position_manager=manager,
        swap_router=sender.deploy(artifacts.swap_router, factory.address, weth),
        swap_router_02=sender.deploy(
            artifacts.swap_router_02, ZERO_ADDRESS, factory.address, manager.address, weth
        ),
        quoter=sender.deploy(artifacts.quoter, factory.address, weth),
    )


def pair_of(spec: PoolSpec, tokens: Mapping[str, Address]) -> Pair:
    """Return a pool's tokens in the pool's order."""
    symbol0, symbol1 = sorted(spec.pair, key=lambda symbol: int(tokens[symbol], 16))
    return Pair(
        symbol0=symbol0,
        symbol1=symbol1,
        token0=tokens[symbol0],
        token1=tokens[symbol1],
        fee=spec.fee,
    )


def liquidity_needed() -> dict[str, int]:
    """Return the raw amount of each asset that fills every pool, with a tenth to spare."""
    needed = dict.fromkeys(ASSETS, 0)
    for spec in POOLS:
        for symbol in spec.pair:
            needed[symbol] += sum(_half_raw(symbol, dollars) for _, dollars in spec.rungs)
    return {symbol: amount * 11 // 10 for symbol, amount in needed.items()}


def open_pools(sender: Sender, uniswap: Uniswap, tokens: Mapping[str, Address]) -> None:
    """Queue every pool at the assets' prices, and its liquidity from the sender's tokens."""
    for spec in POOLS:
        pair = pair_of(spec, tokens)
        price = (ASSETS[pair.symbol0].price, ASSETS[pair.symbol1].price)
        sender.call(
            uniswap.position_manager,
            "createAndInitializePoolIfNecessary",
            pair.token0,
            pair.token1,
            pair.fee,
            sqrt_price_x96(pair, *price),
        )
        for width_bps, dollars in spec.rungs:
            lower, upper = _ticks(pair, *price, width_bps)
            position = (
                *(pair.token0, pair.token1, pair.fee, lower, upper),
                *(_half_raw(pair.symbol0, dollars), _half_raw(pair.symbol1, dollars)),
                *(0, 0, sender.account, _FOREVER),
            )
            sender.call(uniswap.position_manager, "mint", position)


def pool_addresses(rpc: Rpc, uniswap: Uniswap, pairs: Sequence[Pair]) -> list[Address]:
    """Return where the factory put each pool."""
    calls = [(uniswap.factory, "getPool", (p.token0, p.token1, p.fee)) for p in pairs]
    return [Address(found) for found in read_all(rpc, calls)]


def queue_moves(
    arbitrageur: Sender,
    router: Contract,
    pools: Sequence[tuple[Contract, Pair]],
    prices: Mapping[str, int],
) -> None:
    """Queue one swap per pool that takes its price to that of `prices` (8 decimals), not past it.

    The sender must hold both tokens of each pool and have approved the router.
    """
    now = read_all(arbitrageur.rpc, [(pool, "slot0", ()) for pool, _ in pools])
    for (_, pair), slot0 in zip(pools, now, strict=True):
        target = sqrt_price_x96(pair, prices[pair.symbol0], prices[pair.symbol1])
        if target == slot0[0]:
            continue
        falls = target < slot0[0]
        token_in, token_out = (pair.token0, pair.token1) if falls else (pair.token1, pair.token0)
        symbol_in = pair.symbol0 if falls else pair.symbol1
        order = (
            *(token_in, token_out, pair.fee, arbitrageur.account, _FOREVER),
            *(_half_raw(symbol_in, 10**9), 0, target),
        )
        arbitrageur.call(router, "exactInputSingle", order)


def sqrt_price_x96(pair: Pair, price0: int, price1: int) -> int:
    """Return a pool's square-root price for two dollar prices of the same scale, rounded down."""
    numerator: int = price0 * 10 ** ASSETS[pair.symbol1].decimals
    denominator: int = price1 * 10 ** ASSETS[pair.symbol0].decimals
    return isqrt((numerator << 192) // denominator)


def _ticks(pair: Pair, price0: int, price1: int, width_bps: int) -> tuple[int, int]:
    """Return the ticks of a range of this width around a price. A choice, so floats will do."""
    spacing = _TICK_SPACING[pair.fee]
    square_root = sqrt_price_x96(pair, price0, price1) / 2**96
    middle = 2 * log(square_root) / log(1.0001)
    reach = log(1 + width_bps / _BPS) / log(1.0001)
    lower = floor((middle - reach) / spacing) * spacing
    upper = floor((middle + reach) / spacing + 1) * spacing
    return lower, upper


def _half_raw(symbol: str, dollars: int) -> int:
    spec = ASSETS[symbol]
    raw: int = dollars * _USD * 10**spec.decimals // (2 * spec.price)
    return raw

"""Who borrows: positions drawn from a seed, spread like those of a real market."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import exp
from random import Random

from msgspec import Struct

from keeper.devnet.assets import ASSETS, CATEGORIES, ETH_CORRELATED, STABLECOINS

BPS = 10_000

_LARGEST_USD = 3_000_000
_MODERATE_SHARE = 0.6
_THIRD_COLLATERAL_SHARE = 0.3
_STABLES = ("USDC", "DAI", "USDT")


class Position(Struct, frozen=True, kw_only=True):
    """A position to open: raw amounts by symbol, and the eMode category (0 is none)."""

    category: int
    collateral: Mapping[str, int]
    debt: Mapping[str, int]


class Draft(Struct, frozen=True, kw_only=True):
    """A position before its amounts: dollars of collateral, shares of debt, health to have."""

    category: int = 0
    collateral_usd: Mapping[str, int]
    debt_shares: Mapping[str, int]
    health_bps: int


Archetype = Callable[[Random, int], Draft]
"""Draws a draft of a kind, given the health it is to have."""


def draw_population(seed: int, count: int) -> list[Position]:
    """Return `count` positions; the same seed and count give the same positions.

    Some are always there: dust that is not worth its gas, several collaterals against several
    debts, eMode near the line, and one in eMode that a depeg of its collateral leaves with more
    debt than collateral. Most of the rest are safe; a tenth or more is near the line.
    """
    random = Random(seed)  # noqa: S311 - a market, not a secret
    drafts = [*_always(random, count)]
    near = min(max(15, count * 12 // 100), max(count - len(drafts), 0))
    drafts += [_choose(random, _LONGS)(random, _near_line(random)) for _ in range(near)]
    drafts += [_choose(random, _ANY)(random, _safe(random)) for _ in range(count - len(drafts))]
    drafts = drafts[:count]
    random.shuffle(drafts)
    return [fill(draft) for draft in drafts]


def fill(draft: Draft) -> Position:
    """Return the position whose health at the assets' prices is the draft's, or what can be opened.

    A position is opened at the opening prices within the loan-to-value limit; a draft that asks
    for more debt than that gets as much as that allows.
    """
    collateral = {
        symbol: usd * 10**8 * 10 ** ASSETS[symbol].decimals // ASSETS[symbol].price
        for symbol, usd in draft.collateral_usd.items()
    }
    weighted = sum(
        usd * _threshold(symbol, draft.category) for symbol, usd in draft.collateral_usd.items()
    )
    micro_usd = weighted * 10**6 // draft.health_bps
    micro_usd = min(micro_usd, _openable_micro_usd(draft))
    shares = sum(draft.debt_shares.values())
    debt = {
        symbol: micro_usd
        * share
        * 100
        * 10 ** ASSETS[symbol].decimals
        // (shares * ASSETS[symbol].price)
        for symbol, share in draft.debt_shares.items()
    }
    return Position(category=draft.category, collateral=collateral, debt=debt)


def total(sides: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the raw amount of each asset over one side, collateral or debt, of positions."""
    amounts = dict.fromkeys(ASSETS, 0)
    for side in sides:
        for symbol, amount in side.items():
            amounts[symbol] += amount
    return amounts


def _openable_micro_usd(draft: Draft) -> int:
    """Return the debt, at today's prices, that the loan-to-value limit allows at the opening."""
    limit = sum(
        usd * _ltv(symbol, draft.category) * ASSETS[symbol].opening_bps
        for symbol, usd in draft.collateral_usd.items()
    )
    rise = max(ASSETS[symbol].opening_bps for symbol in draft.debt_shares)
    return limit * 10**6 // (BPS * rise) * 998 // 1_000


def _threshold(symbol: str, category: int) -> int:
    spec = ASSETS[symbol]
    in_category = category != 0 and spec.category == category
    return CATEGORIES[category].threshold_bps if in_category else spec.threshold_bps


def _ltv(symbol: str, category: int) -> int:
    spec = ASSETS[symbol]
    in_category = category != 0 and spec.category == category
    return CATEGORIES[category].ltv_bps if in_category else spec.ltv_bps


def _near_line(random: Random) -> int:
    return random.randint(10_060, 12_000)


def _safe(random: Random) -> int:
    moderate = random.random() < _MODERATE_SHARE
    return random.randint(13_000, 20_000) if moderate else random.randint(20_000, 45_000)


def _size_usd(random: Random) -> int:
    """Return dollars of collateral: log-normal, most in the tens of thousands, a few millions."""
    return max(2_000, min(_LARGEST_USD, int(exp(random.gauss(10.0, 1.3)))))


def _choose(random: Random, weighted: Sequence[tuple[Archetype, int]]) -> Archetype:
    kinds = [kind for kind, _ in weighted]
    return random.choices(kinds, weights=[weight for _, weight in weighted])[0]


def _ether_long(random: Random, health_bps: int) -> Draft:
    collateral = random.choice(("WETH", "WETH", "wstETH"))
    return Draft(
        collateral_usd={collateral: _size_usd(random)},
        debt_shares={random.choice(_STABLES): 1},
        health_bps=health_bps,
    )


def _bitcoin_long(random: Random, health_bps: int) -> Draft:
    return Draft(
        collateral_usd={"WBTC": _size_usd(random)},
        debt_shares={random.choice(_STABLES): 1},
        health_bps=health_bps,
    )


def _mixed(random: Random, health_bps: int) -> Draft:
    size = _size_usd(random)
    share = random.randint(25, 75)
    collateral = {"WETH": size * share // 100, "WBTC": size * (100 - share) // 100}
    if random.random() < _THIRD_COLLATERAL_SHARE:
        collateral["USDC"] = size // 10
    first, second = random.sample(_STABLES, 2)
    return Draft(
        collateral_usd=collateral,
        debt_shares={first: random.randint(1, 4), second: random.randint(1, 4)},
        health_bps=health_bps,
    )


def _ether_short(random: Random, health_bps: int) -> Draft:
    return Draft(
        collateral_usd={random.choice(("USDC", "DAI")): _size_usd(random)},
        debt_shares={"WETH": 1},
        health_bps=health_bps,
    )


def _staked_ether_loop(random: Random, _health_bps: int) -> Draft:
    return Draft(
        category=ETH_CORRELATED,
        collateral_usd={"wstETH": _size_usd(random)},
        debt_shares={"WETH": 1},
        health_bps=random.randint(10_300, 11_500),
    )


def _stable_loop(random: Random, _health_bps: int) -> Draft:
    supplied, borrowed = random.sample(_STABLES, 2)
    return Draft(
        category=STABLECOINS,
        collateral_usd={supplied: _size_usd(random)},
        debt_shares={borrowed: 1},
        health_bps=random.randint(10_300, 11_500),
    )


def _dust(random: Random) -> Draft:
    return Draft(
        collateral_usd={"WETH": random.randint(15, 60)},
        debt_shares={random.choice(_STABLES): 1},
        health_bps=_near_line(random),
    )


def _bad_debt() -> Draft:
    """Return a loop whose debt is worth more than its collateral after a depeg of a tenth."""
    return Draft(
        category=ETH_CORRELATED,
        collateral_usd={"wstETH": 60_000},
        debt_shares={"WETH": 1},
        health_bps=10_280,
    )


def _always(random: Random, count: int) -> list[Draft]:
    several = [_mixed(random, _near_line(random)) for _ in range(3)]
    loops = [_staked_ether_loop(random, 0), _stable_loop(random, 0)]
    dust = [_dust(random) for _ in range(max(3, count // 25))]
    return [_bad_debt(), *several, *loops, *dust]


_LONGS: Sequence[tuple[Archetype, int]] = ((_ether_long, 5), (_bitcoin_long, 3), (_mixed, 2))
_ANY: Sequence[tuple[Archetype, int]] = (
    (_ether_long, 42),
    (_bitcoin_long, 20),
    (_mixed, 16),
    (_ether_short, 9),
    (_staked_ether_loop, 7),
    (_stable_loop, 6),
)

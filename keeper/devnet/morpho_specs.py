"""Markets of Morpho Blue on the local market, and who borrows in them."""

from collections.abc import Sequence
from enum import Enum
from math import exp
from random import Random
from typing import Final

from msgspec import Struct

from keeper.core.units import BPS
from keeper.devnet.assets import ASSETS

LARGEST_USD: Final = 2_000_000
_NEAR_SHARE: Final = 0.4
_EARLY_HEALTH_BPS: Final = 10_850
"""Health at which a loan of 86 % is not yet above the early threshold of 80 %."""
_MODERATE_SHARE: Final = 0.6


class Model(Enum):
    """The interest rate model of a market, by the contract's name."""

    NONE = ""
    ADAPTIVE = "AdaptiveCurveIrm"
    FIXED = "FixedRateModel"
    ODD = "OddRateModel"


class MorphoSpec(Struct, frozen=True, kw_only=True):
    """A market: what is lent against what, and how."""

    collateral: str
    loan: str
    lltv_bps: int
    model: Model
    utilization_bps: int
    """What the population borrows of the supply."""
    fee_bps: int = 0
    early: bool = False
    """Whether there is an early liquidation contract, which every other borrower consents to."""
    weight: int = 1
    """How much of the population borrows here."""


MORPHO_MARKETS: Final[Sequence[MorphoSpec]] = (
    MorphoSpec(
        collateral="WETH",
        loan="USDC",
        lltv_bps=8_600,
        model=Model.ADAPTIVE,
        utilization_bps=9_000,
        fee_bps=1_000,
        early=True,
        weight=5,
    ),
    MorphoSpec(
        collateral="wstETH",
        loan="WETH",
        lltv_bps=9_450,
        model=Model.ADAPTIVE,
        utilization_bps=9_400,
        weight=2,
    ),
    MorphoSpec(
        collateral="WBTC",
        loan="USDC",
        lltv_bps=8_600,
        model=Model.ADAPTIVE,
        utilization_bps=7_000,
        weight=3,
    ),
    MorphoSpec(
        collateral="WETH",
        loan="DAI",
        lltv_bps=7_700,
        model=Model.FIXED,
        utilization_bps=6_000,
        weight=2,
    ),
    MorphoSpec(
        collateral="USDC",
        loan="WETH",
        lltv_bps=9_150,
        model=Model.NONE,
        utilization_bps=5_000,
        weight=1,
    ),
)

FIXED_RATE: Final = 2_219_685_438
"""Seven percent a year, wad a second."""


class MorphoLoan(Struct, frozen=True, kw_only=True):
    """A position to open, raw amounts."""

    market: int
    """Place in the list of markets."""
    collateral: int
    debt: int


def draw_loans(seed: int, count: int) -> list[MorphoLoan]:
    """Return ``count`` positions; the same seed and count give the same positions.

    Some are always there: a loop that a depeg leaves with more debt than collateral, dust that is
    not worth its gas, and large ones close to the line of each market.
    """
    random = Random(seed)  # noqa: S311 - a market, not a secret
    loans = [_loan(1, 80_000, 10_050), _loan(0, 20, 10_400), _loan(2, 15, 10_300)]
    loans += [_loan(i, 60_000, 10_350 + 60 * i) for i in range(len(MORPHO_MARKETS))]
    weights = [one.weight for one in MORPHO_MARKETS]
    while len(loans) < count:
        market = random.choices(range(len(MORPHO_MARKETS)), weights=weights)[0]
        dollars = max(500, min(LARGEST_USD, int(exp(random.gauss(10.0, 1.2)))))
        loans.append(_loan(market, dollars, _health(random)))
    loans = loans[:count]
    random.shuffle(loans)
    return loans


def loan_of(market: int, dollars: int, health_bps: int) -> MorphoLoan:
    """Return a loan against collateral of so many dollars, at a health factor in basis points."""
    return _loan(market, dollars, health_bps)


def _health(random: Random) -> int:
    """Return a health factor in basis points: many near the line, most above."""
    if random.random() < _NEAR_SHARE:
        return random.randint(10_080, 11_800)
    moderate = random.random() < _MODERATE_SHARE
    return random.randint(12_500, 18_000) if moderate else random.randint(18_000, 40_000)


def _loan(market: int, dollars: int, health_bps: int) -> MorphoLoan:
    """Return a loan; where it may be liquidated early, far enough from that too."""
    spec = MORPHO_MARKETS[market]
    if spec.early:
        health_bps = max(health_bps, _EARLY_HEALTH_BPS)
    cents = dollars * 10**8
    debt = cents * spec.lltv_bps // health_bps
    return MorphoLoan(
        market=market, collateral=_raw(spec.collateral, cents), debt=_raw(spec.loan, debt)
    )


def _raw(symbol: str, value: int) -> int:
    """Return raw units of an asset worth this many 1e-8 dollars."""
    asset = ASSETS[symbol]
    raw: int = value * 10**asset.decimals // asset.price
    return raw


def supply_of(loans: Sequence[MorphoLoan], market: int) -> int:
    """Return what suppliers lend to a market, raw units of the loan token."""
    borrowed = sum(one.debt for one in loans if one.market == market)
    return borrowed * BPS // MORPHO_MARKETS[market].utilization_bps + 1

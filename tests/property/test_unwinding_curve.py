"""Whatever a vault's totals and fee, its curve is its own answer, or never more than that."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.units import RAY, WAD
from keeper.venues.unwinding.curve import PROBE, Curve, Readings, fitted

TOTALS = st.integers(0, 2**112)
AMOUNTS = st.lists(st.integers(0, 2**100), min_size=1, max_size=20)
TELLING = 10**12
"""Worth of the probe that tells a fee in basis points; that of a real vault is far above."""
FEES = st.one_of(st.just(0), st.integers(1, 5_000))
DECIMALS = st.integers(0, 18)
OFFSETS = st.integers(0, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """What a vault answers."""

    assets: int
    supply: int
    offset: int
    decimals: int
    gross: Callable[[int], int]
    fee_bps: int

    def preview(self, shares: int) -> int:
        assets = self.gross(shares)
        return assets - -(-assets * self.fee_bps // (10_000 + self.fee_bps))

    def curve(self) -> Curve:
        samples = [10**self.decimals * n // d + 7_919 for n, d in ((1, 1_000), (1, 1), (10**6, 1))]
        return fitted(
            Readings(
                total_assets=self.assets,
                total_supply=self.supply,
                offset=self.offset,
                converted=self.gross(PROBE),
                previews={shares: self.preview(shares) for shares in (PROBE, *samples)},
            )
        )


@st.composite
def known(draw: st.DrawFn) -> Vault:
    """Return a vault of a formula that is known."""
    assets, supply, offset = draw(TOTALS), draw(TOTALS), draw(OFFSETS)
    price = draw(st.integers(1, 10**36))
    formulas: list[Callable[[int], int]] = [
        lambda shares: shares * (assets + 1) // (supply + 10**offset),
        lambda shares: shares * price // RAY,
        lambda shares: shares * price // WAD,
    ]
    if supply:
        formulas.append(lambda shares: shares * assets // supply)
    return Vault(
        assets=assets,
        supply=supply,
        offset=offset,
        decimals=draw(DECIMALS),
        gross=draw(st.sampled_from(formulas)),
        fee_bps=draw(FEES),
    )


@given(known(), AMOUNTS)
def test_a_known_formula_is_mirrored_to_the_unit(vault: Vault, amounts: list[int]) -> None:
    curve = vault.curve()
    assert curve.is_exact or vault.gross(PROBE) < TELLING
    slack = 0 if curve.is_exact else 2
    for shares in amounts:
        given_out = vault.preview(shares)
        assert given_out - slack <= curve.of(shares) <= given_out


@given(known(), st.integers(1, 10**30), st.integers(1, 10**30), AMOUNTS)
def test_an_unknown_one_is_never_taken_for_more(
    vault: Vault, numerator: int, denominator: int, amounts: list[int]
) -> None:
    odd = Vault(
        assets=vault.assets,
        supply=vault.supply,
        offset=vault.offset,
        decimals=vault.decimals,
        gross=lambda shares: shares * numerator // denominator,
        fee_bps=vault.fee_bps,
    )
    curve, most = odd.curve(), 2 if odd.fee_bps else 1
    for shares in amounts:
        given_out = odd.preview(shares)
        assert given_out - most <= curve.of(shares) <= given_out


@given(known(), AMOUNTS)
def test_more_shares_never_bring_less(vault: Vault, amounts: list[int]) -> None:
    curve, rising = vault.curve(), sorted(amounts)
    brought = [curve.of(shares) for shares in rising]
    assert brought == sorted(brought)

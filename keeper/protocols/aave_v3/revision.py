"""Which rules a deployed revision of the Pool follows.

The revision is what the Pool's ``POOL_REVISION()`` answers, never what a configuration claims. A
fork numbers its Pool by itself; which release each of its numbers follows is then configured.
Either way the Pool is asked whether it has the functions of that release and none of later ones.
"""

from collections.abc import Callable

from msgspec import Struct

from keeper.core.fixed_point import (
    mul_div_ceil,
    percent_div_half_up,
    percent_mul_half_up,
    ray_div_half_up,
    ray_mul_half_up,
)
from keeper.core.values import replace
from keeper.protocols.aave_v3 import rules

Rounding = Callable[[int, int], int]
"""Combine a value with an index, a rate or basis points, rounded one way."""

Valuing = Callable[[int, int, int], int]
"""Combine amount, price and unit to base units, or the sums of an account to its health."""


class Rules(Struct, frozen=True, kw_only=True):
    """The rules of one release: what exists in it, and how it rounds."""

    release: str
    directed: bool
    """True since 3.5: balances and debt values round in the protocol's favour."""
    compounded_interest: Rounding
    collateral_balance: Rounding
    debt_balance: Rounding
    scaled_burn_collateral: Rounding
    scaled_burn_debt: Rounding
    debt_value: Valuing
    health_factor: Valuing
    bonus_mul: Rounding
    needed_div: Rounding
    principal_div: Rounding
    fee_mul: Rounding
    stable_debt: bool
    emode_bitmaps: bool
    """False up to 3.1: one category number in each reserve's word, perhaps with its own price."""
    grace_period: bool
    virtual_balance: bool
    sequencer_status_since_start: bool
    """True since 3.1: the sentinel counts from ``startedAt``; before, from ``updatedAt``."""
    sentinel: bool
    """False since 3.7: the Pool asks no sentinel, whatever the provider names."""
    premium_lifts_index: bool
    """False since 3.4: all of a flash loan's premium is the treasury's."""
    whole_position_rule: bool
    """True since 3.3: close factor of the whole position, no dust left, deficit for bad debt."""
    custom_errors: bool
    zero_threshold_counts: bool
    """True since 3.6: flagged collateral of threshold 0 counts and may be seized."""
    deficit_by_scaled: bool
    """True since 3.7: "no collateral left" is judged by the scaled balance consumed."""


V3_0 = Rules(
    release="3.0",
    directed=False,
    compounded_interest=rules.compounded_interest_binomial,
    collateral_balance=ray_mul_half_up,
    debt_balance=ray_mul_half_up,
    scaled_burn_collateral=ray_div_half_up,
    scaled_burn_debt=ray_div_half_up,
    debt_value=rules.value_floor,
    health_factor=rules.health_factor_average,
    bonus_mul=percent_mul_half_up,
    needed_div=percent_div_half_up,
    principal_div=percent_div_half_up,
    fee_mul=percent_mul_half_up,
    stable_debt=True,
    emode_bitmaps=False,
    grace_period=False,
    virtual_balance=False,
    sequencer_status_since_start=False,
    sentinel=True,
    premium_lifts_index=True,
    whole_position_rule=False,
    custom_errors=False,
    zero_threshold_counts=False,
    deficit_by_scaled=False,
)
V3_1 = replace(
    V3_0,
    release="3.1",
    grace_period=True,
    virtual_balance=True,
    sequencer_status_since_start=True,
)
V3_2 = replace(V3_1, release="3.2", stable_debt=False, emode_bitmaps=True)
V3_3 = replace(V3_2, release="3.3", whole_position_rule=True)
V3_4 = replace(
    V3_3,
    release="3.4",
    compounded_interest=rules.compounded_interest_taylor,
    premium_lifts_index=False,
    custom_errors=True,
)
V3_5 = replace(
    V3_4,
    release="3.5",
    directed=True,
    collateral_balance=rules.ray_mul_floor,
    debt_balance=rules.ray_mul_ceil,
    scaled_burn_collateral=rules.ray_div_ceil,
    scaled_burn_debt=rules.ray_div_floor,
    debt_value=mul_div_ceil,
    health_factor=rules.health_factor_weighted,
    needed_div=rules.percent_div_ceil,
)
V3_6 = replace(V3_5, release="3.6", zero_threshold_counts=True)
V3_7 = replace(
    V3_6,
    release="3.7",
    bonus_mul=rules.percent_mul_floor,
    principal_div=rules.percent_div_floor,
    fee_mul=rules.percent_mul_ceil,
    sentinel=False,
    deficit_by_scaled=True,
)

RELEASES = {one.release: one for one in (V3_0, V3_1, V3_2, V3_3, V3_4, V3_5, V3_6, V3_7)}
"""Release to rules, oldest first."""

RULES = {
    1: V3_0,
    2: V3_0,
    3: V3_0,
    4: V3_1,
    5: V3_2,
    6: V3_2,
    7: V3_3,
    8: V3_4,
    9: V3_5,
    10: V3_6,
    11: V3_7,
}
"""``POOL_REVISION()`` of Aave's own Pools to rules."""

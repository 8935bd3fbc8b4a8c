"""Liquidations that happened on Ethereum, from what the contracts read to what they did.

They are of Aave V2, whose seize arithmetic V3 inherited with one change: V2 applies the bonus
before it divides by the collateral's price, V3 after. Balances are those of the moment, prices
are in wei of ether.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from keeper.core.fixed_point import percent_mul_half_up
from keeper.core.units import WAD
from keeper.protocols.aave_v3.revision import V3_0, V3_7
from keeper.protocols.aave_v3.rules import max_repay_of_reserve
from keeper.protocols.aave_v3.seizing import Pair, available_collateral

RECORDED: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("aave_v2_liquidations.json").read_text("utf-8")
)
ONE_WEI_APART = "0xde551a73e813f1a1e5c843ac2c6a0e40d71618f4040bb7d0cd7cf7b2b6cf4633"

every_one = pytest.mark.parametrize("one", RECORDED, ids=[one["tx"][:10] for one in RECORDED])


def pair_of(one: dict[str, Any]) -> Pair:
    collateral, debt = one["collateral"], one["debt"]
    return Pair(
        collateral_price=int(collateral["price"]),
        collateral_unit=10 ** collateral["decimals"],
        debt_price=int(debt["price"]),
        debt_unit=10 ** debt["decimals"],
        bonus_bps=collateral["bonus_bps"],
        fee_bps=0,
        balance=int(collateral["balance"]),
    )


@every_one
def test_v3_seizes_what_v2_did_but_for_the_order_of_the_bonus(one):
    found = available_collateral(V3_0, pair_of(one), int(one["debt_to_cover"]))
    apart = 1 if one["tx"] == ONE_WEI_APART else 0
    assert found.repay == int(one["repaid"])
    assert found.gross == int(one["seized"]) - apart


@every_one
def test_v2s_own_order_gives_the_seized_amount_to_the_wei(one):
    pair = pair_of(one)
    with_bonus = percent_mul_half_up(
        pair.debt_price * int(one["repaid"]) * pair.collateral_unit, pair.bonus_bps
    )
    assert with_bonus // (pair.collateral_price * pair.debt_unit) == int(one["seized"])


@every_one
def test_what_was_repaid_is_within_the_close_factor(one):
    most = max_repay_of_reserve(int(one["debt"]["balance"]), 99 * WAD // 100)
    assert int(one["repaid"]) <= most


@every_one
def test_later_roundings_never_give_the_liquidator_more(one):
    repaid = int(one["repaid"])
    old, new = (available_collateral(rules, pair_of(one), repaid) for rules in (V3_0, V3_7))
    assert 0 <= old.gross - new.gross <= 1

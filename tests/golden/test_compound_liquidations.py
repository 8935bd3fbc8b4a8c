"""Compound V2 liquidations that happened on Ethereum, from what was read to what was seized."""

import json
from pathlib import Path
from typing import Any

import pytest

from keeper.core.lending import Option, SeizeQuote
from keeper.core.units import WAD, Address
from keeper.protocols.compound_v2 import liquidation, rules
from keeper.protocols.compound_v2.health import view_at
from keeper.protocols.compound_v2.rules import Stored
from keeper.protocols.compound_v2.state import Deployment, Entry, Position, Risk
from tests.support.compound_market import BLOCK, NOW, deployment, market

RECORDED: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("compound_v2_liquidations.json").read_text("utf-8")
)
CLOSE_FACTOR = WAD // 2

every_one = pytest.mark.parametrize("one", RECORDED, ids=[one["tx"][:10] for one in RECORDED])


def ratio_of(one: dict[str, Any], mul: rules.MulExp = rules.mul_exp_truncated) -> int:
    return rules.seize_ratio(
        incentive=int(one["incentive"]),
        debt_price=int(one["debt"]["price"]),
        collateral_price=int(one["collateral"]["price"]),
        rate=int(one["collateral"]["exchange_rate"]),
        mul=mul,
    )


@every_one
def test_the_ctokens_seized_are_those_recorded(one):
    seized = rules.seized_tokens(ratio_of(one), int(one["repaid"]))
    assert seized == int(one["seized_tokens"])
    assert seized <= int(one["collateral"]["tokens"])


@every_one
def test_what_was_repaid_is_within_the_close_factor(one):
    most = rules.max_close(CLOSE_FACTOR, int(one["debt"]["owed"]))
    assert 0 < int(one["repaid"]) <= most


@every_one
def test_the_old_rounding_gives_the_same_to_one_part_in_a_billion(one):
    old, new = (ratio_of(one, mul) for mul in (rules.mul_exp_half_up, rules.mul_exp_truncated))
    assert abs(old - new) * 10**9 <= new


@every_one
def test_the_most_repaid_for_the_seized_is_no_less_than_what_was(one):
    seized = int(one["seized_tokens"])
    most = rules.most_repaid_for(ratio_of(one), seized)
    assert most is not None
    assert most >= int(one["repaid"])
    assert rules.seized_tokens(ratio_of(one), most) == seized
    assert rules.seized_tokens(ratio_of(one), most + 1) > seized


@every_one
def test_the_adapter_quotes_what_was_seized_in_underlying(one):
    rate = int(one["collateral"]["exchange_rate"])
    view = view_at(as_deployed(one), BLOCK, NOW, prices_of(one))
    position = Position(
        entries=(
            Entry(
                market=0, tokens=int(one["collateral"]["tokens"]), principal=0, principal_index=0
            ),
            Entry(market=1, tokens=0, principal=int(one["debt"]["owed"]), principal_index=WAD),
        )
    )
    pair = view.markets[:2]
    option = Option(
        collateral=pair[0].asset,
        debt=pair[1].asset,
        max_repay=0,
        key=f"{pair[0].token}:{pair[1].token}",
    )
    quote = liquidation.seize(view, position, option, int(one["repaid"]))
    worth = rules.redeemed(int(one["seized_tokens"]), rate)
    assert quote == SeizeQuote(repay=int(one["repaid"]), seized=worth, protocol_fee=0)


def prices_of(one: dict[str, Any]) -> dict[str, int]:
    tokens = [each.token for each in as_deployed(one).markets]
    return {tokens[0]: int(one["collateral"]["price"]), tokens[1]: int(one["debt"]["price"])}


def as_deployed(one: dict[str, Any]) -> Deployment:
    """Return two markets whose exchange rate is the recorded one; threshold 0 makes shortfall."""
    risks = {0: Risk(threshold=0, incentive=int(one["incentive"]))}
    rate = int(one["collateral"]["exchange_rate"])
    held = Stored(cash=rate * 10**12, borrows=0, reserves=0, index=WAD, supply=WAD * 10**12)
    owed = Stored(cash=WAD, borrows=WAD, reserves=0, index=WAD, supply=WAD)
    places = [Address("0x" + f"{number:02x}" * 20) for number in (1, 2)]
    return deployment(
        (
            market(0, places[0], "C", 18, risks=risks, stored=held),
            market(1, places[1], "D", 18, risks=risks, stored=owed),
        )
    )

"""Random life: genuine transactions of every kind, the same for the same seed."""

from pathlib import Path

from keeper.devnet.actions import random_actions
from keeper.devnet.live import account_data
from tests.support.market_node import MarketNode, copied_market

KINDS = {
    "supply",
    "borrow",
    "borrow by an ordinary account",
    "repay",
    "repay with aTokens",
    "withdraw",
    "transfer aTokens",
    "toggle collateral",
    "change eMode",
    "liquidate",
    "move a price",
    "pass time",
}


def test_every_kind_of_action_succeeds_at_some_time(market_copy: MarketNode):
    report = random_actions(market_copy.live, seed=1, count=400)
    assert set(report.succeeded) == KINDS
    assert sum(report.succeeded.values()) > sum(report.refused.values())


def test_the_same_seed_leads_the_same_life(anvil_binary: Path, local_market: MarketNode):
    reports, states = [], []
    for _ in range(2):
        with copied_market(anvil_binary, local_market) as node:
            reports.append(random_actions(node.live, seed=3, count=60))
            states.append(account_data(node.live, node.market.borrowers))
    assert reports[0] == reports[1]
    assert states[0] == states[1]


def test_life_changes_accounts(market_copy: MarketNode):
    before = account_data(market_copy.live, market_copy.market.borrowers)
    random_actions(market_copy.live, seed=4, count=40)
    after = account_data(market_copy.live, market_copy.market.borrowers)
    assert sum(a.health_factor != b.health_factor for a, b in zip(before, after, strict=True)) > 20

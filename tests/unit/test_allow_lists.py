"""What a transaction may call and which tokens it may move is the operator's to say."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from keeper.app.builders import limits_of
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from keeper.core.lending import Reason
from keeper.core.plan import Plan, Underlying, Unwound
from keeper.executor.policy import Exposure, Limits, judge, tokens_of
from tests.support.disarmed import LIMITS
from tests.support.ledger_records import EXECUTOR, account, plan

SHIPPED = Path(__file__).parents[2] / "config"
NOTHING = Exposure(
    spent_hour=0, spent_day=0, at_stake=0, in_flight=0, busy=frozenset(), balances=None
)
ONE, TWO = plan(1), plan(2)
ALL = tokens_of(ONE)
STRANGE = account(99)


def said(of: Plan, limits: Limits) -> tuple[Reason, str] | None:
    no = judge(of, limits, NOTHING)
    return None if no is None else (no.reason, no.detail)


def test_nothing_but_the_executor_contract_is_called() -> None:
    assert said(ONE, replace(LIMITS, targets=frozenset({EXECUTOR}))) is None
    assert said(ONE, replace(LIMITS, targets=frozenset({STRANGE}))) == (
        Reason.POLICY,
        f"it calls {EXECUTOR}, which is not the executor contract",
    )


def test_a_plan_moves_only_tokens_that_are_listed() -> None:
    assert said(ONE, replace(LIMITS, tokens=ALL)) is None
    for token in ALL:
        assert said(ONE, replace(LIMITS, tokens=ALL - {token})) == (
            Reason.POLICY,
            f"token {token} is not among limits.tokens",
        )


def test_every_token_of_every_account_of_a_batch_is_looked_at() -> None:
    other = replace(TWO, option=replace(TWO.option, collateral=STRANGE))
    batch = replace(ONE, companions=(other,))
    assert said(batch, replace(LIMITS, tokens=ALL | {STRANGE})) is None
    assert said(batch, replace(LIMITS, tokens=ALL)) == (
        Reason.POLICY,
        f"token {STRANGE} is not among limits.tokens",
    )


def test_what_shares_are_redeemed_for_is_a_token_too() -> None:
    unwound = Unwound(
        kind="erc4626",
        share=ONE.option.collateral,
        shares=1,
        underlying=Underlying(address=STRANGE, symbol="S", unit=1),
        assets=1,
    )
    assert STRANGE in tokens_of(replace(ONE, unwound=unwound))


def configured(folder: Path, **limits: object) -> Path:
    shutil.copytree(SHIPPED, folder / "config")
    path = folder / "config" / "keeper.yaml"
    root = yaml.safe_load(path.read_text("utf-8"))
    root["executor"] = EXECUTOR
    root["limits"] |= limits
    path.write_text(yaml.safe_dump(root), "utf-8")
    return path


def test_the_list_is_read_from_the_file_and_the_wrapped_coin_is_always_on_it(
    tmp_path: Path,
) -> None:
    settings = load(configured(tmp_path, tokens=[STRANGE]))
    found = limits_of(settings)
    assert found.tokens == {STRANGE, settings.chain.wrapped_native}
    assert found.targets == {EXECUTOR}


def test_without_a_list_any_token_may_be_moved(tmp_path: Path) -> None:
    assert limits_of(load(configured(tmp_path))).tokens is None


def test_an_empty_list_is_refused_where_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keeper\.yaml:\d+: limits\.tokens: expected"):
        load(configured(tmp_path, tokens=[]))

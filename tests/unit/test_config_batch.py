"""What an operator may say of several accounts in one transaction, and how mistakes are named."""

from pathlib import Path

import pytest

from keeper.config.sending import BatchSettings
from keeper.config.settings import load
from keeper.core.errors import ConfigError
from tests.support.settings_files import write_settings


def written(folder: Path, section: str) -> Path:
    root = write_settings(folder)
    with root.open("a", encoding="utf-8") as file:
        file.write(f"\nsending: {{batch: {section}}}\n")
    return root


def test_the_shipped_configuration_sends_each_account_alone(tmp_path: Path) -> None:
    assert load(write_settings(tmp_path)).sending.batch == BatchSettings(most=1, risk_bps=100)


def test_a_batch_has_as_many_accounts_as_one_says(tmp_path: Path) -> None:
    root = written(tmp_path, "{most: 10, risk_bps: 0}")
    assert load(root).sending.batch == BatchSettings(most=10, risk_bps=0)


@pytest.mark.parametrize("most", ["0", "11", "-1", "many", "true"])
def test_a_size_that_no_transaction_can_carry_is_refused(tmp_path: Path, most: str) -> None:
    with pytest.raises(ConfigError, match="expected a whole number from 1 to 10") as refused:
        load(written(tmp_path, f"{{most: {most}}}"))
    assert "sending.batch.most" in str(refused.value)

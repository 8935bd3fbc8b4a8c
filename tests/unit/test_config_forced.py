"""What an operator may say about losses, and how mistakes are named."""

from pathlib import Path

import pytest

from keeper.app.builders import limits_of
from keeper.config.settings import load, load_deployment
from keeper.core.errors import ConfigError
from keeper.executor.forced import ForcedLimits
from tests.support.settings_files import SHIPPED, write_settings

PROTOCOL = "protocols/aave_v3.ethereum.yaml"
NAME = "aave_v3.ethereum"


def test_the_shipped_configuration_forces_nothing(tmp_path: Path) -> None:
    assert limits_of(load(write_settings(tmp_path))).forced == {}


def test_a_budget_is_of_its_deployment(tmp_path: Path) -> None:
    root = write_settings(tmp_path)
    with (root.parent / PROTOCOL).open("a", encoding="utf-8") as file:
        file.write("forced: {max_loss_per_tx_wei: 5 gwei, max_loss_per_day_wei: 0.1 ether}")
    assert limits_of(load(root)).forced == {
        NAME: ForcedLimits(max_loss_per_tx=5 * 10**9, max_loss_per_day=10**17)
    }


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{max_loss_per_tx_wei: 1}", "missing key 'forced.max_loss_per_day_wei'"),
        (
            "{max_loss_per_tx_wei: 0, max_loss_per_day_wei: 1}",
            "forced.max_loss_per_tx_wei: expected more than 0 wei; leave out forced to allow",
        ),
        (
            "{max_loss_per_tx_wei: 2, max_loss_per_day_wei: 1}",
            "forced: expected max_loss_per_day_wei of at least max_loss_per_tx_wei, 2, found 1",
        ),
        (
            "{max_loss_per_tx_wei: 1, max_loss_per_day_wei: 1, max_loss_per_hour_wei: 1}",
            "unknown key 'max_loss_per_hour_wei'",
        ),
        ("{max_loss_per_tx_wei: much, max_loss_per_day_wei: 1}", "expected an amount in wei"),
    ],
)
def test_a_mistake_is_named_with_its_file_key_and_what_was_expected(
    tmp_path: Path, section: str, words: str
) -> None:
    path = tmp_path / Path(PROTOCOL).name
    shipped = (SHIPPED / PROTOCOL).read_text("utf-8")
    path.write_text(f"{shipped}\nforced: {section}\n", "utf-8")
    with pytest.raises(ConfigError) as refusal:
        load_deployment(path, "ethereum")
    assert words in str(refusal.value)
    assert "aave_v3.ethereum.yaml:" in str(refusal.value)

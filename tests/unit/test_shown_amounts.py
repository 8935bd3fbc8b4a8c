"""What commands print of prices and of an account's standing."""

import pytest

from keeper.commands.amounts import priced, verdict
from keeper.core.lending import Health
from keeper.core.units import WAD


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2_535 * WAD, "2,535.0000"),
        (WAD // 100, "0.0100"),
        (WAD // 2_535, "0.00039447"),
        (0, "0.0000"),
    ],
)
def test_a_small_price_has_the_digits_that_tell_it(value: int, shown: str) -> None:
    assert priced(value, WAD) == shown


@pytest.mark.parametrize(
    ("factor", "liquidatable", "said"),
    [
        (WAD, False, "healthy"),
        (WAD - 1, True, "liquidatable"),
        (WAD, True, "liquidatable"),
        (WAD - 1, False, "not liquidatable"),
    ],
)
def test_nobody_under_the_line_is_called_healthy(factor, liquidatable, said) -> None:
    standing = Health(
        health_factor=factor, liquidatable=liquidatable, collateral_base=1, debt_base=1
    )
    assert verdict(standing) == said

"""Reasons as people read them: wei in ether or gwei, everything else as it was."""

import pytest

from keeper.core.text import readable


@pytest.mark.parametrize(
    ("exact", "shown"),
    [
        (
            (
                "WETH>USDT nets -2685178727686125 wei (proceeds 240636237113875, "
                "gas 2925814964800000, tip 0): needs 4685178727686125 more wei"
            ),
            (
                "WETH>USDT nets -0.002686 ether (proceeds 0.000240 ether, gas 0.002925 ether, "
                "tip 0): needs 0.004685 more ether"
            ),
        ),
        (
            "max fee 250000000001 wei is 50000000001 wei over the cap of 200000000000 wei",
            "max fee 250.000 gwei is 50.000 gwei over the cap of 200 gwei",
        ),
        (
            (
                "gas of the last hour: 5000000000000000001 wei at most, 1 wei over the cap of "
                "5000000000000000000 wei"
            ),
            "gas of the last hour: 5.000000 ether at most, 1 wei over the cap of 5 ether",
        ),
        ("nets 1234567890000000000000 wei", "nets 1,234.567890 ether"),
        ("theirs paid 99 wei", "theirs paid 99 wei"),
    ],
)
def test_wei_are_shown_in_the_unit_that_fits(exact: str, shown: str) -> None:
    assert readable(exact) == shown


@pytest.mark.parametrize(
    "text",
    [
        "bad debt of 155596776138000000 in the market's base unit",
        "token 0x1234567890123456789012345678901234567890 is not allowed",
        "a pool of 0x12345678901234567 wei",
        "block 123456789012345678",
        "",
    ],
)
def test_what_is_not_in_wei_stays(text: str) -> None:
    assert readable(text) == text

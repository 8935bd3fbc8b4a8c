"""The screen's columns, written down and taken up again, and their limits."""

import numpy as np

from keeper.core.lending import AccountRef
from keeper.core.screening import Exposure
from keeper.core.units import Address
from keeper.scanner.columns import WIDTHS, Columns
from keeper.scanner.screen import places_under


def ref(number: int) -> AccountRef:
    return AccountRef(market="m", account=Address(f"0x{number:040x}"))


def test_keys_wider_than_any_machine_integer_survive() -> None:
    columns = Columns()
    place = columns.put(ref(1), Exposure(terms=((2**200 + 1, 1.5), (7, -2.0)), slack=0.25))
    again = Columns.of_arrays(columns.arrays(), columns.markets)
    assert again.keys == columns.keys
    assert again.find(ref(1)) == place


def test_accounts_of_more_factors_than_can_be_numbered_are_odd() -> None:
    columns, wide = Columns(), WIDTHS[-1]
    for first in range(0, 2**16, wide):
        terms = tuple((first + key, 1.0) for key in range(wide))
        columns.put(ref(first), Exposure(terms=terms, slack=1.0))
    assert len(columns.keys) == 2**16
    assert columns.odd == {ref(2**16 - wide)}
    columns.put(ref(0), Exposure(terms=((5, 1.0), (2**17, 1.0)), slack=1.0))
    assert columns.odd == {ref(0), ref(2**16 - wide)}
    assert columns.find(ref(0)) is None


def test_each_account_is_held_to_its_own_slack_and_not_to_the_highest() -> None:
    columns = Columns()
    for number, slack in enumerate((1.0, 100.0, 10.0, 1_000.0)):
        columns.put(ref(number), Exposure(terms=((1, 50.0),), slack=slack))
    columns.drop(ref(3))  # its slack stays the block's ceiling
    found = places_under(columns, np.array([0.0, 1.0]))
    assert {columns.ref(place) for place in found.tolist()} == {ref(1)}

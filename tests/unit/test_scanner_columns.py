"""The screen's columns, written down and taken up again."""

from keeper.core.lending import AccountRef
from keeper.core.screening import Exposure
from keeper.core.units import Address
from keeper.scanner.columns import Columns


def test_keys_wider_than_any_machine_integer_survive() -> None:
    ref = AccountRef(market="m", account=Address("0x" + "11" * 20))
    columns = Columns()
    place = columns.put(ref, Exposure(terms=((2**200 + 1, 1.5), (7, -2.0)), slack=0.25))
    again = Columns.of_arrays(columns.arrays(), columns.markets)
    assert again.keys == columns.keys
    assert again.find(ref) == place

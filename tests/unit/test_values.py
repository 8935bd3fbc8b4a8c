"""What is equal, and how values are changed: structs and dataclasses alike."""

from dataclasses import dataclass

import pytest
from msgspec import Struct

from keeper.core.chain import BlockRef, Log
from keeper.core.values import replace
from keeper.protocols.aave_v3.revision import V3_6
from keeper.protocols.aave_v3.state import AaveMarket
from tests.support.ledger_records import block
from tests.support.lending_case import aave
from tests.unit.test_price_block import LOG

BESIDES = {
    BlockRef: {"logs_bloom"},
    Log: {"seen_ns"},
    AaveMarket: {"category_lines"},
}
"""What two equal values may differ in."""


@dataclass(frozen=True)
class Declared:
    one: int
    other: int = 2


@pytest.mark.parametrize("value", [block(7), LOG, aave(V3_6)], ids=["block", "log", "market"])
def test_each_field_counts_but_those_that_say_nothing_of_it(value: Struct) -> None:
    assert value == replace(value)
    differs = {
        name for name in value.__struct_fields__ if value != replace(value, **{name: object()})
    }
    assert set(value.__struct_fields__) - differs == BESIDES[type(value)]
    assert value != object()


def test_a_dataclass_is_changed_as_a_struct_is() -> None:
    assert replace(Declared(one=1), other=5) == Declared(one=1, other=5)
    with pytest.raises(TypeError):
        replace(LOG, fee=1)

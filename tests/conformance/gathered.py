"""The cases of all protocols, and what may be liquidated in them."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from keeper.core.lending import AccountRef, Option
from keeper.core.units import Address
from keeper.protocols.registry import protocol_names
from tests.conformance.case import Case

STRANGER = Address("0x" + "ee" * 20)


def gathered() -> list[Case]:
    """Return what every protocol brings."""
    return [
        case
        for protocol in protocol_names()
        for case in importlib.import_module(f"tests.conformance.cases_{protocol}").cases()
    ]


CASES = gathered()
each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def offered(case: Case, view: Any) -> Iterator[tuple[AccountRef, Any, Option]]:
    """Yield every way to liquidate in a view of the market."""
    for ref, position in case.positions.items():
        for option in case.adapter.options(view, position):
            yield ref, position, option

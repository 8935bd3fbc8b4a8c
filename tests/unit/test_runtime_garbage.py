"""The collector leaves alone what was there at the start."""

import gc
from collections.abc import Iterator

import pytest

from keeper.runtime.garbage import keep_for_good, loading, sweep


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_there_is_never_searched_again():
    book = [[number] for number in range(1_000)]
    keep_for_good()
    assert gc.get_freeze_count() > len(book)
    assert not any(one is book for one in gc.get_objects())


def test_nothing_is_searched_while_modules_are_loaded_nor_they_later():
    with loading():
        loaded = [["module"]]
        assert not gc.isenabled()
    assert gc.isenabled()
    assert not any(one is loaded for one in gc.get_objects())


def test_the_oldest_generation_is_not_searched_by_itself():
    keep_for_good()
    assert gc.get_threshold()[2] >= 10**9


def test_a_sweep_frees_cycles_made_since():
    keep_for_good()
    cycle: list[object] = []
    cycle.append(cycle)
    found = id(cycle)
    del cycle
    sweep()
    assert found not in {id(one) for one in gc.get_objects()}

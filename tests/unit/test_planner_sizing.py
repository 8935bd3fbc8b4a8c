"""Finding the best amount of a concave net, its edges and its holes."""

import pytest

from keeper.planner.sizing import FINE, ROUGH, best_amount


def hill(peak: int, *, above: int | None = None, below: int = 0):
    """Return a concave net with its top at ``peak``, that exists only up to ``above``."""

    def net(amount: int) -> int | None:
        if amount <= below or (above is not None and amount > above):
            return None
        return -((amount - peak) ** 2)

    return net


@pytest.mark.parametrize("peak", [1, 2, 77, 500_000, 999_999, 10**6])
def test_the_top_is_found_wherever_it_is(peak: int) -> None:
    assert best_amount(hill(peak), 10**6) == peak


def test_a_rising_net_takes_all_in_three_questions() -> None:
    asked: list[int] = []

    def net(amount: int) -> int:
        asked.append(amount)
        return amount

    assert best_amount(net, 10**18) == 10**18
    assert len(asked) == 3


def test_a_net_whose_rounding_hides_its_fall_is_searched() -> None:
    """Floored to coarse steps, the last bit of the range looks flat; the top is far from it."""

    def net(amount: int) -> int:
        return (-((amount - 500_000) ** 2) // 10**9) * 10**9

    found = best_amount(net, 10**6)
    assert found is not None
    assert net(found) == max(net(amount) for amount in range(1, 10**6, 1_000))


def test_beyond_the_edge_of_what_exists_the_edge_is_best() -> None:
    assert best_amount(hill(10**6, above=4_321), 10**6) == 4_321


def test_the_whole_is_tried_although_a_little_less_is_forbidden() -> None:
    def net(amount: int) -> int | None:
        return None if 900_000 < amount < 10**6 else amount

    assert best_amount(net, 10**6) == 10**6


def test_below_the_forbidden_zone_wins_when_the_whole_costs_more() -> None:
    def net(amount: int) -> int | None:
        return None if 900_000 < amount < 10**6 else min(amount, 1_500_000 - amount)

    assert best_amount(net, 10**6) == 750_000


def test_no_amount_is_found_where_none_exists() -> None:
    assert best_amount(lambda _: None, 10**6) is None
    assert best_amount(lambda _: None, 1) is None


def test_amounts_too_small_to_exist_do_not_mislead() -> None:
    assert best_amount(hill(700, below=300), 1_000) == 700


def test_a_rough_search_is_near_and_a_fine_one_takes_it_further() -> None:
    asked: set[int] = set()

    def net(amount: int) -> int:
        asked.add(amount)
        return -((amount - 3 * 10**17) ** 2)

    rough = best_amount(net, 10**18, ROUGH)
    questions = len(asked)
    fine = best_amount(net, 10**18, FINE)
    assert rough is not None
    assert fine is not None
    assert abs(rough - 3 * 10**17) < 10**16
    assert abs(fine - 3 * 10**17) < 10**12
    assert questions < 25
    assert len(asked) < 50

"""Finding the best amount of a concave net, its edges and its holes."""

import pytest

from keeper.planner.sizing import FINE, ROUGH, best_amount, best_of, edge_from, pieces_of, split


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


def holed(low: int, high: int):
    """Return what a protocol refuses: amounts from ``low`` on that do not reach ``high``."""
    return lambda amount: amount < 5 or low <= amount < high


@pytest.mark.parametrize("whole", [10**6, 300_000])
def test_what_a_protocol_takes_is_below_the_hole_and_all(whole: int) -> None:
    (low, near), (high, end) = pieces_of(holed(200_001, whole), 10**6, whole)
    assert (low, high, end) == (1, 10**6, 10**6)
    assert 200_000 - (200_000 >> 14) - 1 <= near <= 200_000
    assert edge_from(holed(200_001, whole), near) == 200_000


def test_without_a_hole_there_is_one_piece_up_to_what_is_taken() -> None:
    assert pieces_of(holed(0, 0), 10**6, 10**6) == ((1, 10**6),)
    assert pieces_of(holed(0, 0), 10**6, 700_000) == ((1, 699_999), (10**6, 10**6))


def test_a_protocol_that_takes_all_or_nothing_has_one_amount() -> None:
    assert pieces_of(holed(0, 10**6), 10**6, 10**6) == ((10**6, 10**6),)
    assert pieces_of(holed(0, 0), 1, 1) == ((1, 1),)


def test_pieces_are_cut_where_a_lender_ends() -> None:
    assert split(((1, 100), (200, 200)), (0, 40, 100, 150, 999)) == (
        (1, 40),
        (41, 100),
        (200, 200),
    )


@pytest.mark.parametrize(
    ("peak", "best"), [(10**6, 10**6), (3_000, 3_000), (450_000, 200_000), (700_000, 10**6)]
)
def test_the_best_piece_wins_whatever_lies_between(peak: int, best: int) -> None:
    net = hill(peak)
    pieces = pieces_of(holed(200_001, 10**6), 10**6, 10**6)
    found = best_of(lambda a: None if 200_000 < a < 10**6 else net(a), pieces)
    assert found is not None
    assert best - (best >> 14) - 1 <= found <= best


def test_beyond_a_lender_s_means_the_next_one_s_fee_may_not_be_worth_it() -> None:
    def net(amount: int) -> int:
        return amount - (100_000 if amount > 600_000 else 0)

    assert best_of(net, split(((1, 650_000),), (600_000,))) == 600_000
    assert best_of(net, split(((1, 900_000),), (600_000,))) == 900_000


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

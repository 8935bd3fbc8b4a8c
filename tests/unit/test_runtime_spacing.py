"""Ever longer waits between tries."""

from keeper.runtime.spacing import Spacing


def test_each_wait_is_twice_the_one_before_up_to_the_longest() -> None:
    spacing = Spacing(first_s=1, longest_s=5, steady_s=60)
    assert [spacing.after(0) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_what_lasted_long_enough_begins_again() -> None:
    spacing = Spacing(first_s=1, longest_s=5, steady_s=60)
    waits = [spacing.after(lasted) for lasted in (0, 0, 60, 0, 59.9)]
    assert waits == [1, 2, 1, 2, 4]

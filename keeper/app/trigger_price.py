"""The price at which an account crosses the line, as near as a float index and exact rules tell."""

from collections.abc import Callable
from typing import Final

_SLACK_BPS: Final = 5
"""How far past its trigger price of the index an account is still looked for."""
_STEPS: Final = 12
_BPS: Final = 10_000


def crossing_price(is_under: Callable[[int], bool], hint: int, *, falls: bool) -> int | None:
    """Return a price just past the line, None when the account is not under near ``hint``.

    ``hint`` is not short of the line: at it, or a little past it, the account crosses. What is
    returned is under the line by the exact rules, and within ``1/2**12`` of the slack to the line.
    """
    slack = max(hint * _SLACK_BPS // _BPS, 1)
    over, under = hint, hint - slack if falls else hint + slack
    if is_under(over):
        return over
    if under <= 0 or not is_under(under):
        return None
    for _ in range(_STEPS):
        middle = (over + under) // 2
        if middle in (over, under):
            break
        if is_under(middle):
            under = middle
        else:
            over = middle
    return under


def last_admitted(admits: Callable[[int], bool], near: int, *, falls: bool) -> int:
    """Return the price farthest from ``near`` that is admitted, as are all between.

    ``near`` itself is admitted. Upwards it is looked for up to twice ``near``.
    """
    good, bad = near, 0 if falls else 2 * near
    if admits(bad):
        return bad
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        if admits(middle):
            good = middle
        else:
            bad = middle
    return good

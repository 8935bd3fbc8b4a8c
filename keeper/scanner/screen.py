"""Which accounts may be under the line: all at once, in floats that err on one side only.

An account's sum is ``s = sum(weight * rate * price)`` and the adapter promises that it is healthy
when ``s >= slack`` (``keeper.core.screening.Exposure``). Computed here is ``t``, with the value of
every factor lowered by ``EPSILON`` of its size. Then ``t <= s``, so that whoever has ``t >= slack``
is healthy, and nobody under the line is missed:

- A computed term is the true one times ``1 + d``, ``|d| <= (3 + 3 + 1 + 1 + 3 + 1) u`` with
  ``u = 2**-53``: three roundings each in weight and rate (the adapter's promise), one in the price,
  one in the value, three in lowering it, one in the product.
- Summing ``n`` of them adds at most ``(n - 1) u`` of the sum of their sizes ``a``, in any order.
- With ``n <= 512`` all this is below ``2**-43 * a``, while lowering took ``2**-40 * a`` away.
- Overflow makes an infinity or no number; of the latter no comparison holds, so that the account is
  decided exactly. Underflow loses less than ``2**-1000``, which the last bit of ``slack`` (rounded
  up when it is stored) exceeds.

A slack is at least the least positive float. A price that is not positive is no number at all.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.scanner.columns import Block, Columns, Floats, Keys

_CHUNK: Final = 16_384
"""Accounts in one pass: what is worked on stays in the processor's cache."""

Slots = NDArray[np.intp]


def places_under(columns: Columns, values: Floats) -> NDArray[np.int64]:
    """Return the places of all accounts that may be under the line."""
    found = [first + slots_under(block, values) for first, block in columns.places()]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def slots_under(block: Block, values: Floats) -> Slots:
    """Return the slots of a block whose accounts may be under the line."""
    used = block.used  # before the arrays: they only grow
    return _under(block.keys, block.weights, block.slack, used, block.ceiling, values)


def some_under(keys: Keys, weights: Floats, slack: NDArray[np.float32], values: Floats) -> Slots:
    """Return which of some accounts' columns may be under the line."""
    ceiling = float(slack.max(initial=0.0))
    return _under(keys, weights, slack, len(slack), ceiling, values)


def sums(keys: Keys, weights: Floats, values: Floats) -> Floats:
    """Return the sum of each account."""
    total = np.empty(keys.shape[1])
    scratch = np.empty(keys.shape[1])
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        _sum(keys, weights, values, total, scratch)
    return total


def _under(
    keys: Keys,
    weights: Floats,
    slack: NDArray[np.float32],
    used: int,
    ceiling: float,
    values: Floats,
) -> Slots:
    """Sort out whoever is above every slack first: few are left to be held to their own."""
    size = min(_CHUNK, used)
    total, scratch = np.empty(size), np.empty(size)
    found = []
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        for first in range(0, used, _CHUNK):
            last = min(first + _CHUNK, used)
            s = total[: last - first]
            _sum(keys[:, first:last], weights[:, first:last], values, s, scratch[: last - first])
            near = np.flatnonzero(~(s > ceiling))
            if len(near):
                found.append(first + near[~(s[near] >= slack[first + near])])
    return np.concatenate(found) if found else np.zeros(0, np.intp)


def _sum(keys: Keys, weights: Floats, values: Floats, total: Floats, scratch: Floats) -> None:
    # "clip" only because it lets numpy write in place: the keys are all in range.
    values.take(keys[0], out=total, mode="clip")
    np.multiply(total, weights[0], out=total)
    for key, weight in zip(keys[1:], weights[1:], strict=True):
        values.take(key, out=scratch, mode="clip")
        np.multiply(scratch, weight, out=scratch)
        np.add(total, scratch, out=total)

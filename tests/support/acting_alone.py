"""Acting of a deployment among rooms that a test makes up."""

from typing import Any

from keeper.app.acting import Acting
from keeper.runtime.precedence import Precedence


def acting_among(rooms: Any, precedence: Precedence) -> Acting[Any, Any]:
    """Return what acts with one thing in the place of every room around it."""
    return Acting(
        adapter=rooms,
        planning=rooms,
        executor=rooms,
        journal=rooms,
        watcher=rooms,
        appraiser=rooms,
        parity=rooms,
        aim=rooms,
        decoders=rooms,
        min_debt_base=0,
        part=1,
        observer=rooms,
        precedence=precedence,
    )

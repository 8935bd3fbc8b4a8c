"""HTTP as apprise speaks it, with answers that end: it reads them whole, however long they go on.

What a channel answers beyond its status says hardly anything, and comes from whoever is there.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import requests.sessions
from requests.adapters import HTTPAdapter

MOST_BYTES: Final = 2**20
LONGEST_S: Final = 10.0


class CurtAdapter(HTTPAdapter):
    """Reads so much of an answer, for so long; what there is by then is all of it."""

    # Any: of urllib3's answers requests knows no more either.
    def build_response(self, req: Any, resp: Any) -> Any:  # noqa: ANN401
        """Return the answer to a request, of which the rest is left unread."""
        resp.stream = partial(_begin_of, resp.stream, resp.close)
        return super().build_response(req, resp)


def _begin_of(
    stream: Callable[..., Iterator[bytes]],
    close: Callable[[], None],
    *how: object,
    **more: object,
) -> Iterator[bytes]:
    left, ends = MOST_BYTES, time.monotonic() + LONGEST_S
    for part in stream(*how, **more):
        yield part
        left -= len(part)
        if left < 0 or time.monotonic() > ends:
            close()
            return


def be_curt() -> None:
    """Have all that is asked through requests in this process be asked so."""
    requests.sessions.HTTPAdapter = CurtAdapter  # type: ignore[attr-defined]

"""A small blocking JSON-RPC client for the local node: batches, and errors in plain words."""

import http.client
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from keeper.core.errors import InvariantError, TransientError
from keeper.core.text import with_shown_urls

Call = tuple[str, Sequence[object]]
"""A method and its parameters."""

_BATCH = 500
_TIMEOUT_S = 90


@dataclass(slots=True)
class Rpc:
    """One keep-alive connection to a local node. Not for sharing between threads."""

    url: str
    _connection: http.client.HTTPConnection | None = None

    def call(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON of the node's making
        """Return the result of one call; raise InvariantError when the node refuses it."""
        return self.batch([(method, params)])[0]

    def batch(self, calls: Iterable[Call]) -> list[Any]:
        """Return the results of many calls, in order; raise InvariantError on the first refusal."""
        results: list[Any] = []
        for method, reply in self.try_batch(calls):
            if "error" in reply:
                # That of a fork may name the node that it forks, with its key.
                found = with_shown_urls(str(reply["error"]))
                raise InvariantError(f"{method}: expected a result, found {found}")
            results.append(reply["result"])
        return results

    def try_batch(self, calls: Iterable[Call]) -> list[tuple[str, dict[str, Any]]]:
        """Return each method with its whole reply, a refusal being one of the replies."""
        wanted = list(calls)
        replies: list[tuple[str, dict[str, Any]]] = []
        for start in range(0, len(wanted), _BATCH):
            part = wanted[start : start + _BATCH]
            replies += zip((method for method, _ in part), self._post(part), strict=True)
        return replies

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        body = json.dumps(
            [
                {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
                for number, (method, params) in enumerate(calls)
            ]
        )
        replies: list[dict[str, Any]] = json.loads(self._exchange(body.encode()))
        replies.sort(key=lambda reply: int(reply["id"]))
        return replies

    def _exchange(self, body: bytes) -> bytes:
        if self._connection is None:
            where = urlsplit(self.url)
            self._connection = http.client.HTTPConnection(
                where.hostname or "127.0.0.1", where.port, timeout=_TIMEOUT_S
            )
        try:
            self._connection.request(
                "POST", "/", body=body, headers={"content-type": "application/json"}
            )
            return self._connection.getresponse().read()
        except (OSError, http.client.HTTPException) as e:
            self.close()
            raise TransientError(f"{self.url}: expected a local node, found {e}") from e

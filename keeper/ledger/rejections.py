"""Why accounts were not liquidated: the latest reason of each, and how often in a row."""

import sqlite3

from keeper.core.lending import Rejection


def upsert_rejection(
    db: sqlite3.Connection, deployment: str, rejection: Rejection, *, now: int
) -> None:
    """Record a rejection; the same reason again counts up, another one starts anew."""
    net = None if rejection.net_wei is None else str(rejection.net_wei)
    db.execute(
        """INSERT INTO rejections VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
        ON CONFLICT (deployment, market, account) DO UPDATE SET
            times = CASE WHEN reason = excluded.reason THEN times + 1 ELSE 1 END,
            first_seen = CASE WHEN reason = excluded.reason THEN first_seen
                         ELSE excluded.first_seen END,
            block = excluded.block, reason = excluded.reason, detail = excluded.detail,
            net = excluded.net, last_seen = excluded.last_seen""",
        (
            deployment,
            rejection.ref.market,
            rejection.ref.account,
            rejection.block,
            rejection.reason,
            rejection.detail,
            net,
            now,
            now,
        ),
    )

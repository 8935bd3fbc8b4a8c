"""The newest outcomes of the books, for whoever watches."""

from pathlib import Path

from msgspec import Struct

from keeper.core.plan import Status
from keeper.core.units import Address, Hash32
from keeper.ledger.store import reading


class Latest(Struct, frozen=True, kw_only=True):
    """How an intent ended, and of whom it was. Wei."""

    plan_id: str
    deployment: str
    account: Address
    status: Status
    block: int | None
    tx_hash: Hash32 | None
    net: int
    detail: str


def read_latest(path: Path, most: int) -> tuple[Latest, ...]:
    """Return the newest outcomes, newest first; what a reorg undid is not among them.

    Raises ConfigError for a database that cannot be read.
    """
    with reading(path) as db:
        rows = db.execute(
            """SELECT plan_id, deployment, account, o.status, block, tx_hash, o.net, detail
            FROM outcomes o JOIN intents USING (plan_id) ORDER BY o.rowid DESC LIMIT ?""",
            (most,),
        ).fetchall()
    return tuple(_latest(*row) for row in rows)


def _latest(  # noqa: PLR0913, PLR0917 - a row's columns
    plan_id: str,
    deployment: str,
    account: str,
    status: str,
    block: int | None,
    tx_hash: str | None,
    net: str,
    detail: str,
) -> Latest:
    return Latest(
        plan_id=plan_id,
        deployment=deployment,
        account=Address(account),
        status=Status(status),
        block=block,
        tx_hash=Hash32(tx_hash) if tx_hash else None,
        net=int(net),
        detail=detail,
    )

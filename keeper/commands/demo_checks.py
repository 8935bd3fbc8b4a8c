"""What the demo checks of itself, from the chain and not from the keeper."""

from msgspec import Struct

from keeper.core.plan import Status
from keeper.devnet.stages import Scene
from keeper.ledger.books import Books


class Verdict(Struct, frozen=True, kw_only=True):
    """The findings, one line each, and whether all of them are good."""

    lines: tuple[str, ...]
    good: bool


def check_books(books: Books, scene: Scene, *, grown: int) -> Verdict:
    """Compare the books with the chain. ``grown`` is what the purse gained, wei."""
    checks = (_balances(books, grown), _exact(books), _nothing_forgotten(books, scene))
    return Verdict(
        lines=tuple(f"{'ok' if good else 'FAILED'}: {text}" for good, text in checks),
        good=all(good for good, _ in checks),
    )


def _balances(books: Books, grown: int) -> tuple[bool, str]:
    net = books.total.realised.net
    if net == grown:
        return True, f"the books' net equals what the balances grew by on chain: {grown} wei"
    return False, f"the books say net {net} wei, the balances on chain grew by {grown} wei"


def _exact(books: Books) -> tuple[bool, str]:
    """Say how many forecasts were met to the wei; a miss is a figure, not a failure."""
    landed = [one for one in books.entries if one.status is Status.LANDED]
    exact = sum(one.forecast.net == one.realised.net for one in landed)
    reverted = sum(one.status is Status.REVERTED for one in books.entries)
    return True, (
        f"{len(landed)} liquidations landed, {reverted} reverted; "
        f"{exact} forecasts were met to the wei"
    )


def _nothing_forgotten(books: Books, scene: Scene) -> tuple[bool, str]:
    """Ask the protocol who is still under the line; each must have a reason in the books."""
    under = scene.under_water()
    explained = {one.account for one in books.missed}
    forgotten = [account for account in under if account not in explained]
    if forgotten:
        return False, f"still under the line without a reason: {', '.join(forgotten)}"
    return True, f"{len(under)} accounts are still under the line, each with its reason above"

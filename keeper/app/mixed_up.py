"""Feeds that stand beside each other's token: what each says of itself tells."""

from collections.abc import Mapping
from typing import NamedTuple


class Named(NamedTuple):
    """A feed, and what it is to price."""

    symbol: str
    description: str
    """As the feed says, as ``BTC / USD``; empty where it says nothing."""


def mixed_up(key: str, feeds: Mapping[str, Named]) -> str | None:
    """Return whose feed the one of ``key`` is, where that has a feed that is not its own either.

    A token may go by another's feed on purpose, as one that is bridged does, beside that one.
    """
    own = feeds[key]
    if _is_of(own, own.symbol):
        return None
    for other in feeds.values():
        if _is_of(own, other.symbol) and other.description and not _is_of(other, other.symbol):
            return other.symbol
    return None


def _is_of(feed: Named, symbol: str) -> bool:
    """Return whether a feed says that it prices a token; WBTC and cbBTC go by that of BTC."""
    base = _plain(feed.description.partition("/")[0])
    return bool(base) and base in _plain(symbol)


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.replace("₮", "T").casefold()))

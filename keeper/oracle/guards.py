"""Reasons not to act on a price. Each stops acting, never showing."""

from keeper.core.lending import Feed, Price


def problem_with(feed: Feed, price: Price, now: int) -> str | None:
    """Return why ``price`` may not be acted on at block time ``now``, or None."""
    if price.value <= 0:
        return f"{feed.label}: expected a positive price, found {price.value}"
    if feed.heartbeat_s is None:
        return None
    age = now - price.updated_at
    if age > feed.heartbeat_s:
        return f"{feed.label}: expected an update within {feed.heartbeat_s} s, found {age} s"
    return None

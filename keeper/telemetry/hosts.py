"""By which name the endpoint was asked: a page of somebody else's must not read it in a browser.

Such a page has its own name resolve to this machine (DNS rebinding), and is then of one origin with
the endpoint. The browser tells that name as ``Host``, which it lets no page choose.
"""

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit


def is_own(host: str | None, names: Collection[str]) -> bool:
    """Return whether a ``Host`` is an address, this machine's own name, or one of ``names``.

    Nobody has an address, or localhost, resolve elsewhere. None is no browser's.
    """
    if host is None:
        return True
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    own = {"localhost", *(one.lower().removesuffix(".") for one in names)}
    return name in own or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

"""``python -m keeper.devnet``: fetch and compile what the local market and the tests need."""

import sys

from keeper.chain.anvil import find_anvil
from keeper.core.errors import ConfigError
from keeper.devnet.aave_v36_source import aave_v36_artifacts
from keeper.devnet.packages import ensure_all, ensure_anvil, ensure_forge, manifest

_BINARIES = ("anvil-", "forge-")
"""How packages begin of which there is one a platform."""


def say(text: str) -> None:
    """Report progress on stderr."""
    sys.stderr.write(text + "\n")


def main() -> int:
    """Fetch; return the exit code."""
    try:
        if find_anvil() is None:
            ensure_anvil(progress=say)
        if find_anvil("forge") is None:
            ensure_forge(progress=say)
        wanted = [name for name in manifest() if not name.startswith(_BINARIES)]
        ensure_all(wanted, progress=say)
        aave_v36_artifacts(say)
    except ConfigError as error:
        say(f"error: {error}")
        return 1
    return 0


sys.exit(main())

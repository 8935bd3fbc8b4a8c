"""Keystores that open at once: of the format of any other, with a key that is quick to derive."""

import json
from pathlib import Path

from keeper.evm.keys import _eth_account

_ROUNDS = 2
"""Of scrypt; a keystore that is to be safe has 262,144, a second's work of a processor."""


def quick_keystore(path: Path, key: bytes, password: str) -> None:
    """Write a key into a new keystore, as ``write_keystore`` does, readable by its owner only."""
    path.touch(0o600, exist_ok=False)
    path.write_text(json.dumps(_eth_account().encrypt(key, password, iterations=_ROUNDS)), "utf-8")

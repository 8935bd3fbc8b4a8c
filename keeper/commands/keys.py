"""``keeper keys``: make or import an encrypted keystore. No key is ever an argument or printed."""

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from keeper.commands.console import say
from keeper.core.errors import ConfigError
from keeper.core.units import Address
from keeper.evm.keys import PRIVATE_KEY_VARIABLE, parse_key, read_password, write_keystore
from keeper.evm.transaction import KEY_SIZE
from keeper.runtime.private import exposure

Ask = Callable[[str], str]


def new_key(keystore: Path, password_file: Path | None, *, ask: Ask | None = None) -> Address:
    """Write a new random key into a new keystore; return its address."""
    return _write(keystore, os.urandom(KEY_SIZE), password_file, os.environ, ask or _prompt())


def import_key(
    keystore: Path,
    password_file: Path | None,
    *,
    environment: Mapping[str, str] = os.environ,
    ask: Ask | None = None,
) -> Address:
    """Write the key of ``KEEPER_PRIVATE_KEY``, or of a prompt, into a new keystore."""
    prompt = ask or _prompt()
    text = environment.get(PRIVATE_KEY_VARIABLE)
    if text is None:
        if prompt is None:
            msg = f"expected a key in {PRIVATE_KEY_VARIABLE}, or a terminal to ask on, found none"
            raise ConfigError(msg)
        text = prompt("Private key: ")
    return _write(keystore, parse_key(text), password_file, environment, prompt)


def _write(
    keystore: Path,
    key: bytes,
    password_file: Path | None,
    environment: Mapping[str, str],
    ask: Ask | None,
) -> Address:
    typed = None if ask is None else _twice(ask)
    password = read_password(keystore, environment, password_file=password_file, ask=typed)
    if not password:
        msg = f"{keystore}: expected a password for it, found an empty one"
        raise ConfigError(msg)
    address = write_keystore(keystore, key, password)
    say(f"wrote {keystore}, readable by you alone; its address is {address}")
    if password_file is not None and (why := exposure(password_file)) is not None:
        say(f"warning: {password_file}: {why}")
    return address


def _twice(ask: Ask) -> Ask:
    """Return ``ask`` for what nobody sees and that opens a new file: a slip would close it."""

    def asked(text: str) -> str:
        first = ask(text)
        if ask("The same once more: ") != first:
            raise ConfigError("expected the same password twice, found two; nothing was written")
        return first

    return asked


def _prompt() -> Ask | None:
    return getpass.getpass if sys.stdin.isatty() else None

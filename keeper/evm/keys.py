"""Where a key comes from: an encrypted keystore, the environment, or chance for a fork.

eth-account costs 0.6 s to import, so it is imported only when a keystore is opened or made.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keeper.core.errors import ConfigError
from keeper.core.units import Address
from keeper.evm.hashing import keccak256
from keeper.evm.transaction import KEY_SIZE, LocalSigner

if TYPE_CHECKING:
    from eth_account import Account

PRIVATE_KEY_VARIABLE: Final = "KEEPER_PRIVATE_KEY"
PASSWORD_VARIABLE: Final = "KEEPER_KEYSTORE_PASSWORD"  # noqa: S105 - a name, not a password

_PRIVATE_MODE: Final = 0o600


def load_signers(
    *,
    chain_id: int,
    environment: Mapping[str, str],
    keystores: Sequence[Path],
    password_file: Path | None = None,
    ask: Callable[[str], str] | None = None,
) -> list[LocalSigner]:
    """Return the signers of the configured keystores, or of the keys in the environment.

    The password comes from ``password_file``, then the environment, then ``ask`` (a prompt).
    Raises ConfigError when there is no key, one twice, keys in both places, or a keystore that
    does not open.
    """
    from_environment = environment.get(PRIVATE_KEY_VARIABLE)
    if keystores and from_environment is not None:
        msg = f"expected one key, found both {PRIVATE_KEY_VARIABLE} and keystore {keystores[0]}"
        raise ConfigError(msg)
    if not keystores and from_environment is None:
        msg = f"expected a key in operator.keystore or {PRIVATE_KEY_VARIABLE}, found none"
        raise ConfigError(msg)
    if from_environment is not None:
        found = from_environment.split() or [""]
        keys = [parse_key(one, PRIVATE_KEY_VARIABLE) for one in found]
    else:
        keys = [
            open_keystore(
                one, read_password(one, environment, password_file=password_file, ask=ask)
            )
            for one in keystores
        ]
    signers = [LocalSigner(key, chain_id=chain_id) for key in keys]
    addresses = [one.address for one in signers]
    if len(set(addresses)) != len(addresses):
        twice = next(one for one in addresses if addresses.count(one) > 1)
        msg = f"expected each key once, found that of {twice} twice"
        raise ConfigError(msg)
    return signers


def parse_key(text: str, where: str = "private key") -> bytes:
    """Return the bytes of a key in hex. Raises ConfigError that names ``where``, never the key."""
    digits = text.strip().removeprefix("0x")
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        msg = f"{where}: expected 64 hex digits, found {len(digits)} characters"
        raise ConfigError(msg)
    return key


def read_password(
    keystore: Path,
    environment: Mapping[str, str],
    *,
    password_file: Path | None,
    ask: Callable[[str], str] | None,
) -> str:
    """Return the keystore's password from its file, the environment or a prompt."""
    if password_file is not None:
        try:
            return password_file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "bytes that are not UTF-8"
            msg = f"{password_file}: expected a password file, found {reason}"
            raise ConfigError(msg) from error
    if (password := environment.get(PASSWORD_VARIABLE)) is not None:
        return password
    if ask is None:
        msg = f"{keystore}: expected its password in a password file or {PASSWORD_VARIABLE}"
        raise ConfigError(msg)
    return ask(f"Password of {keystore}: ")


def open_keystore(path: Path, password: str) -> bytes:
    """Return the key in an encrypted keystore (Web3 secret storage, version 3)."""
    try:
        return bytes(_eth_account().decrypt(json.loads(path.read_text("utf-8")), password))
    except OSError as error:
        msg = f"{path}: expected a keystore, found: {error.strerror}"
        raise ConfigError(msg) from error
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        wrong = "MAC mismatch" in str(error)
        found = "a wrong password" if wrong else "a file that is not an encrypted keystore"
        msg = f"{path}: expected a keystore that opens with the password, found {found}"
        raise ConfigError(msg) from error


def write_keystore(path: Path, key: bytes, password: str) -> Address:
    """Write a key into a new encrypted keystore, readable by its owner only.

    Returns the key's address. Raises ConfigError when the file exists or cannot be written.
    """
    address = LocalSigner(key, chain_id=0).address
    content = json.dumps(_eth_account().encrypt(key, password))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
    except OSError as error:
        msg = f"{path}: expected a new file to write a keystore to, found: {error.strerror}"
        raise ConfigError(msg) from error
    return address


def _eth_account() -> "type[Account]":
    """Return what opens and makes keystores, and leave Python's bound of recursion as it is.

    A library that is loaded with it raises that to 100,000: JSON nested so deep, by a node or a
    relay, would then overflow the stack and end the process, where it is an error that is caught.
    """
    depth = sys.getrecursionlimit()
    from eth_account import Account  # noqa: PLC0415 - 0.6 s, see the module's docstring

    sys.setrecursionlimit(depth)
    return Account


def throwaway_signer(*, chain_id: int, seed: bytes) -> LocalSigner:
    """Return a signer for a fork, from a seed. Never for a chain where it holds value.

    ``seed`` is fixed where a run must repeat, and from ``os.urandom`` elsewhere.
    """
    return LocalSigner(keccak256(b"keeper throwaway key" + seed), chain_id=chain_id)

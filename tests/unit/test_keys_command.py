"""``keeper keys``: encrypted files, and no key where somebody could see it."""

import os
import subprocess
import sys

import pytest

from keeper.commands.keys import import_key, new_key
from keeper.commands.typed import typed_address
from keeper.core.errors import ConfigError
from keeper.evm.keys import load_signers, parse_key
from keeper.evm.transaction import LocalSigner

CANARY = "c0ffee" * 10 + "c0fe"


def keys(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "keeper", "keys", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        timeout=600,
    )


def opened(keystore, password_file):
    (signer,) = load_signers(
        chain_id=1, environment={}, keystores=[keystore], password_file=password_file
    )
    return signer.address


def test_a_new_key_opens_with_its_password_and_is_for_its_owner_alone(tmp_path):
    keystore, password = tmp_path / "operator.json", tmp_path / "password"
    password.write_text("correct horse\n")
    done = keys("new", keystore, "--password-file", password)
    assert done.returncode == 0, done.stderr
    assert opened(keystore, password) in done.stderr
    assert keystore.stat().st_mode & 0o777 == 0o600
    again = keys("new", keystore, "--password-file", password)
    assert again.returncode == 2
    assert "expected a new file" in again.stderr


def test_an_imported_key_is_shown_nowhere(tmp_path):
    keystore, password = tmp_path / "operator.json", tmp_path / "password"
    password.write_text("correct horse")
    words = ("import", keystore, "--password-file", password)
    done = keys(*words, KEEPER_PRIVATE_KEY="0x" + CANARY)
    assert done.returncode == 0, done.stderr
    assert opened(keystore, password) == LocalSigner(parse_key(CANARY), chain_id=1).address
    assert CANARY not in done.stdout + done.stderr + keystore.read_text()


@pytest.mark.parametrize("word", ["new", "import"])
def test_a_key_in_place_of_the_file_is_refused_and_not_shown(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    password = tmp_path / "password"
    password.write_text("correct horse")
    done = keys(word, "0x" + CANARY, "--password-file", password, KEEPER_PRIVATE_KEY=CANARY)
    assert done.returncode == 2
    assert "KEYSTORE: expected a path, found 64 hex digits or more" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == [password]


def test_a_key_in_place_of_an_address_is_not_shown():
    with pytest.raises(ConfigError, match="--operator: expected an address of 0x") as caught:
        typed_address("--operator", "0x" + CANARY)
    assert CANARY not in str(caught.value)


def test_without_a_key_or_a_terminal_nothing_is_written(tmp_path):
    keystore, password = tmp_path / "operator.json", tmp_path / "password"
    password.write_text("")
    assert keys("import", keystore, "--password-file", password).returncode == 2
    empty = keys("new", keystore, "--password-file", password)
    assert "expected a password" in empty.stderr
    assert not keystore.exists()


def test_a_password_that_is_typed_is_asked_for_twice(tmp_path):
    keystore = tmp_path / "operator.json"
    typed = iter(["correct horse", "correct hose"])
    with pytest.raises(ConfigError, match="expected the same password twice"):
        new_key(keystore, None, ask=lambda _: next(typed))
    assert not keystore.exists()
    address = new_key(keystore, None, ask=lambda _: "correct horse")
    password = tmp_path / "password"
    password.write_text("correct horse")
    assert opened(keystore, password) == address


def test_a_key_that_is_typed_is_asked_for_once(tmp_path):
    asked = []
    import_key(
        tmp_path / "operator.json",
        None,
        environment={},
        ask=lambda text: asked.append(text) or (CANARY if text.startswith("Private") else "open"),
    )
    assert [one.split()[0] for one in asked] == ["Private", "Password", "The"]

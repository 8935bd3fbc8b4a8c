"""A password that every user of the machine may read is told, and taken all the same."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.commands.arming import CONFIRM_VARIABLE, arming
from keeper.commands.keys import new_key
from keeper.config.keeper_file import Mode, OperatorSettings
from keeper.config.settings import Settings, load
from keeper.core.values import replace
from keeper.runtime.private import exposure
from tests.support.keystores import quick_keystore
from tests.support.settings_files import write_settings

KEY = bytes.fromhex("11" * 32)
READ = "expected mode 0600, found 0644: every user of this machine reads it"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that everybody may go through, which a test's own is not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def password(open_folder: Path) -> Path:
    file = open_folder / "password"
    file.write_text("open\n", "utf-8")
    file.chmod(0o644)
    return file


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: Path) -> Settings:
    monkeypatch.setenv("KEEPER_RPC_ETHEREUM", "ws://127.0.0.1:1")
    keystore = tmp_path / "operator.json"
    quick_keystore(keystore, KEY, "open")
    operator = OperatorSettings(keystore=(keystore,), password_file=password)
    return replace(load(write_settings(tmp_path)), mode=Mode.LIVE, operator=operator)


def armed(settings: Settings) -> int:
    keys = arming(settings, {CONFIRM_VARIABLE: "1"}, arm=True)
    return 0 if keys is None else len(keys())


def test_what_every_user_may_read_is_exposed(password: Path) -> None:
    assert exposure(password) == READ


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_what_its_owner_and_a_group_may_read_is_not(password: Path, mode: int) -> None:
    password.chmod(mode)
    assert exposure(password) is None


def test_a_closed_folder_above_keeps_others_out(password: Path, open_folder: Path) -> None:
    open_folder.chmod(0o700)
    assert exposure(password) is None


def test_a_link_is_judged_by_what_it_leads_to(password: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(password)
    assert exposure(tmp_path / "link") == READ


def test_a_file_that_is_mounted_by_itself_has_a_mode_of_elsewhere(
    password: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path == password.resolve())
    assert exposure(password) is None


def test_arming_says_it_and_goes_on(
    settings: Settings, password: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert armed(settings) == 1
    said = capsys.readouterr().err
    assert said == f"warning: operator.password_file: {password}: {READ}\n"
    password.chmod(0o600)
    assert armed(settings) == 1
    assert capsys.readouterr().err == ""


def test_arming_says_it_of_a_keystore(
    settings: Settings,
    open_folder: Path,
    password: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    password.chmod(0o600)
    keystore = open_folder / "operator.json"
    quick_keystore(keystore, KEY, "open")
    keystore.chmod(0o644)
    operator = OperatorSettings(keystore=(keystore,), password_file=password)
    assert armed(replace(settings, operator=operator)) == 1
    assert capsys.readouterr().err == f"warning: operator.keystore: {keystore}: {READ}\n"


def test_a_new_key_says_it(
    password: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_key(tmp_path / "new.json", password)
    assert capsys.readouterr().err.endswith(f"\nwarning: {password}: {READ}\n")

"""Anvil as a child: found, started, and gone with everything it wrote."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from keeper.chain.anvil import AnvilOptions, anvil_version, find_anvil, open_anvil, start_anvil
from keeper.core.errors import ConfigError, TransientError
from keeper.devnet.rpc import Rpc


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int, folder: Path, *, within_s: float = 90.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and (alive(pid) or folder.exists()):
        time.sleep(0.02)


def test_anvil_answers_over_http_and_on_its_socket(anvil_binary: Path):
    with start_anvil(anvil_binary, AnvilOptions(ipc=True, chain_id=4242)) as anvil:
        with closing(Rpc(anvil.http_url)) as rpc:
            assert rpc.call("eth_chainId") == hex(4242)
        assert anvil.ipc_path is not None
        assert anvil.ipc_path.is_socket()


def test_leaving_the_block_ends_anvil_and_removes_its_files(anvil_binary: Path):
    with start_anvil(anvil_binary) as anvil:
        assert anvil.running
        assert anvil.folder.is_dir()
    assert not anvil.running
    assert not anvil.folder.exists()


def test_an_error_inside_the_block_ends_anvil_too(anvil_binary: Path):
    with pytest.raises(ValueError, match="inside"), start_anvil(anvil_binary) as anvil:
        raise ValueError("inside")
    assert not anvil.running


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v3/canary", "ws://127.0.0.1:9/v3/canary"])
def test_the_key_of_a_node_that_cannot_be_forked_is_not_shown(anvil_binary: Path, url: str):
    host = url.removesuffix("/v3/canary")
    with pytest.raises(ConfigError, match=f"expected it to start, .*{host}") as found:
        start_anvil(anvil_binary, AnvilOptions(fork_url=url, fork_block=5, chain_id=1)).stop()
    assert "canary" not in str(found.value)


def test_stopping_twice_is_harmless(anvil_binary: Path):
    anvil = start_anvil(anvil_binary)
    anvil.stop()
    anvil.stop()
    assert not anvil.running


async def test_async_code_opens_and_closes_it(anvil_binary: Path):
    async with await open_anvil(anvil_binary) as anvil:
        assert anvil.running
    assert not anvil.running


def test_anvil_dies_with_a_parent_that_was_killed(anvil_binary: Path):
    code = (
        "import pathlib, sys, time\n"
        "from keeper.chain.anvil import start_anvil\n"
        "anvil = start_anvil(pathlib.Path(sys.argv[1]))\n"
        "print(anvil.pid, anvil.folder, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(anvil_binary)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert alive(int(pid))
        parent.send_signal(signal.SIGKILL)
    wait_until_gone(int(pid), Path(folder))
    assert not alive(int(pid))
    assert not Path(folder).exists()


def test_a_port_that_is_taken_is_named(anvil_binary: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"expected port {port} to be free, found it taken"):
            start_anvil(anvil_binary, AnvilOptions(port=port))


def test_a_fork_of_nothing_fails_in_anvils_own_words(anvil_binary: Path):
    with pytest.raises(ConfigError, match=r"exit code 1: Error: failed to get fork block number"):
        start_anvil(anvil_binary, AnvilOptions(fork_url="http://127.0.0.1:1"))


def test_a_binary_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"anvil: cannot run .*/nothing"):
        start_anvil(tmp_path / "nothing")


def test_a_failed_start_leaves_no_folder(
    anvil_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ConfigError):
        start_anvil(anvil_binary, AnvilOptions(extra=("--no-such-option",)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "found"), [("anvil Version: 1.7.1", True), ("anvil 0.3.0", False), ("hello", False)]
)
def test_only_a_new_enough_anvil_on_the_path_is_used(
    said: str, *, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "anvil").write_text(f"#!/bin/sh\necho '{said}'\n")
    (tmp_path / "anvil").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert (find_anvil() is not None) is found


def test_the_pinned_anvil_is_new_enough(anvil_binary: Path):
    version = anvil_version(anvil_binary)
    assert version is not None
    assert version >= (1, 7, 0)


def test_a_node_that_is_gone_is_a_transient_error(anvil_binary: Path):
    with start_anvil(anvil_binary) as anvil:
        rpc = Rpc(anvil.http_url)
        rpc.call("eth_chainId")
    with pytest.raises(TransientError, match="expected a local node"):
        rpc.call("eth_chainId")

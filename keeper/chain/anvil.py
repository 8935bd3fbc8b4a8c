"""Anvil as a child process: found, started, waited for, and gone with its parent."""

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct, field

from keeper.core.errors import ConfigError
from keeper.core.text import with_shown_urls

OLDEST_ANVIL = (1, 7)
"""Older releases lack options and calls that Keeper uses."""

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_POLL_S = 0.004
_LISTENING = re.compile(r"Listening on (\S+):(\d+)")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")

# Waits for end-of-file on stdin, which comes when the parent is gone however it went, then ends
# anvil and removes its folder. PR_SET_PDEATHSIG would not do: it fires when the *thread* that
# started the child ends.
_WATCHDOG = """
read -r _
kill "$1" 2>/dev/null
while kill -0 "$1" 2>/dev/null; do sleep 0.1; done
rm -rf -- "$2"
"""


class AnvilOptions(Struct, frozen=True, kw_only=True):
    """How to start anvil. A port of 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 0
    ipc: bool = False
    chain_id: int | None = None
    accounts: int = 10
    balance_eth: int = 10_000
    fork_url: str | None = None
    fork_block: int | None = None
    load_state: Path | None = None
    timestamp: int | None = None
    block_time_s: float | None = None
    block_interval_s: int | None = None
    base_fee_wei: int | None = None
    gas_limit: int | None = None
    automine: bool = True
    auto_impersonate: bool = False
    max_persisted_states: int | None = None
    extra: Sequence[str] = field(default_factory=tuple)


class Anvil(Struct, frozen=True, kw_only=True):
    """A running anvil. Leaving its `with` or `async with` block stops it and removes its files."""

    process: subprocess.Popen[bytes]
    watchdog: subprocess.Popen[bytes]
    folder: Path
    host: str
    port: int
    ipc_path: Path | None

    @property
    def http_url(self) -> str:
        """Return where it answers JSON-RPC over HTTP."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Return where it answers JSON-RPC over WebSocket."""
        return f"ws://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """Return the process id of anvil itself."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Tell whether the process is still there."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End anvil and remove everything it wrote. Stopping twice is harmless."""
        _end(self.process, self.watchdog, self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)


def find_anvil(name: str = "anvil") -> Path | None:
    """Return the anvil on the PATH when there is one that is new enough."""
    found = shutil.which(name)
    if found is None:
        return None
    version = anvil_version(Path(found))
    return Path(found) if version is not None and version[:2] >= OLDEST_ANVIL else None


def anvil_version(binary: Path) -> tuple[int, int, int] | None:
    """Return the version a binary says it is, or None when it says nothing of the kind."""
    try:
        done = subprocess.run(  # noqa: S603 - the caller names the binary
            [str(binary), "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = _VERSION.search(done.stdout)
    return (int(said[1]), int(said[2]), int(said[3])) if said else None


def start_anvil(binary: Path, options: AnvilOptions | None = None) -> Anvil:
    """Start anvil and return once it answers.

    Raises ConfigError with anvil's own words when it exits early, the port is taken, or it does
    not answer in time.
    """
    chosen = options or AnvilOptions()
    folder = Path(tempfile.mkdtemp(prefix="keeper-anvil-"))
    ipc_path = folder / "anvil.ipc" if chosen.ipc else None
    log = folder / "anvil.log"
    try:
        process = _spawn([str(binary), *_arguments(chosen, folder, ipc_path)], log)
    except OSError as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise ConfigError(f"anvil: cannot run {binary}: {e}") from e
    watchdog = subprocess.Popen(  # noqa: S603 - fixed script; pid and folder are arguments
        ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(process.pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = _wait_until_listening(process, log, chosen)
        url = f"http://{chosen.host}:{port}"
        # From here on its log would only grow, one line per request.
        _tell(url, "anvil_setLoggingEnabled", False)
        if chosen.block_interval_s is not None:
            _tell(url, "anvil_setBlockTimestampInterval", chosen.block_interval_s)
    except BaseException:
        _end(process, watchdog, folder)
        raise
    return Anvil(
        process=process,
        watchdog=watchdog,
        folder=folder,
        host=chosen.host,
        port=port,
        ipc_path=ipc_path,
    )


async def open_anvil(binary: Path, options: AnvilOptions | None = None) -> Anvil:
    """Start anvil without blocking the event loop."""
    return await asyncio.to_thread(start_anvil, binary, options)


def _arguments(options: AnvilOptions, folder: Path, ipc_path: Path | None) -> list[str]:
    # The cache path: after some 500 blocks anvil writes states to disk and never removes them.
    arguments = ["--host", options.host, "--port", str(options.port)]
    arguments += ["--cache-path", str(folder / "states"), "--color", "never"]
    arguments += ["--accounts", str(options.accounts), "--balance", str(options.balance_eth)]
    arguments.append("--no-request-size-limit")
    valued = {
        "--ipc": ipc_path,
        "--chain-id": options.chain_id,
        "--fork-url": options.fork_url,
        "--fork-block-number": options.fork_block,
        "--load-state": options.load_state,
        "--timestamp": options.timestamp,
        "--block-time": options.block_time_s,
        "--block-base-fee-per-gas": options.base_fee_wei,
        "--gas-limit": options.gas_limit,
        "--max-persisted-states": options.max_persisted_states,
    }
    for flag, value in valued.items():
        if value is not None:
            arguments += [flag, str(value)]
    if options.fork_url is not None:
        arguments.append("--no-storage-caching")
    if not options.automine:
        arguments.append("--no-mining")
    if options.auto_impersonate:
        arguments.append("--auto-impersonate")
    return [*arguments, *options.extra]


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal is for the keeper, which may still need it.
    with log.open("wb") as out:
        return subprocess.Popen(  # noqa: S603 - the caller names the binary
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_listening(
    process: subprocess.Popen[bytes], log: Path, options: AnvilOptions
) -> int:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        said = log.read_text(encoding="utf-8", errors="replace")
        if listening := _LISTENING.search(said):
            return int(listening[2])
        if process.poll() is not None:
            raise ConfigError(_early_exit(log, options, process.returncode))
        time.sleep(_POLL_S)
    raise ConfigError(
        f"anvil: expected it to listen within {_START_TIMEOUT_S:.0f} s, found silence"
    )


def _early_exit(log: Path, options: AnvilOptions, code: int) -> str:
    # It names the node that it would fork, with its key.
    said = with_shown_urls(" ".join(log.read_text(encoding="utf-8", errors="replace").split()))
    if "Address already in use" in said:
        return f"anvil: expected port {options.port} to be free, found it taken"
    marks = [at for at in (said.find("Error:"), said.find("error:")) if at >= 0]
    reason = said[min(marks) :][:400] if marks else said[-300:]
    return f"anvil: expected it to start, found exit code {code}: {reason or 'no output'}"


def _tell(url: str, method: str, value: object) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [value]}).encode()
    request = urllib.request.Request(  # noqa: S310 - an http URL made above
        url, data=body, headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_START_TIMEOUT_S) as reply:  # noqa: S310 - same
            answer = json.load(reply)
    except (urllib.error.URLError, OSError, ValueError) as e:
        raise ConfigError(f"anvil: expected {method} to be answered, found {e}") from e
    if "error" in answer:
        raise ConfigError(f"anvil: expected {method} to be accepted, found {answer['error']}")


def _end(process: subprocess.Popen[bytes], watchdog: subprocess.Popen[bytes], folder: Path) -> None:
    # The watchdog goes first, so that it cannot signal a process id that was given to another.
    watchdog.kill()
    watchdog.wait()
    if watchdog.stdin is not None:
        watchdog.stdin.close()
    process.terminate()
    try:
        process.wait(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)

"""Pinned npm packages: fetched by `npm pack`, checked by us, unpacked into the user's cache."""

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path, PurePosixPath

from msgspec import Struct

from keeper.core.errors import ConfigError

Progress = Callable[[str], None]
"""Is told, in one short line, what is being done."""

MARKET_PACKAGES = (
    "aave-core-v3",
    "chainlink-feeds",
    "multicall3",
    "solc",
    "uniswap-swap-router",
    "uniswap-v3-core",
    "uniswap-v3-periphery",
)
"""What a local market is deployed from; anvil comes on top when it is not on the PATH."""

_PACK_TIMEOUT_S = 300
_NPM_OPTIONS = (
    "--ignore-scripts",
    "--loglevel=error",
    # Left to itself, npm takes more than a minute to say that there is no network.
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=2000",
)
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Package(Struct, frozen=True, kw_only=True):
    """One pinned tarball, and the patterns of the files in it that are kept."""

    name: str
    npm: str
    version: str
    integrity: str
    keep: tuple[str, ...]

    @property
    def spec(self) -> str:
        """Return the package as npm names it."""
        return f"{self.npm}@{self.version}"

    @property
    def folder(self) -> str:
        """Return a folder name that changes with everything that decides the contents."""
        digest = hashlib.sha256("\n".join((self.integrity, *self.keep)).encode()).hexdigest()
        return f"{self.name}-{self.version}-{digest[:12]}"


def quiet(_line: str) -> None:
    """Say nothing: the progress of a caller who does not want any."""


def manifest() -> Mapping[str, Package]:
    """Return the pinned packages by our name for them."""
    text = files("keeper.devnet").joinpath("packages.toml").read_text(encoding="utf-8")
    return {
        name: Package(
            name=name,
            npm=entry["npm"],
            version=entry["version"],
            integrity=entry["integrity"],
            keep=tuple(entry["keep"]),
        )
        for name, entry in tomllib.loads(text).items()
    }


def cache_root() -> Path:
    """Return the cache folder: $KEEPER_CACHE, else $XDG_CACHE_HOME/keeper, else ~/.cache/keeper."""
    if chosen := os.environ.get("KEEPER_CACHE"):
        return Path(chosen)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "keeper"
    return Path.home() / ".cache" / "keeper"


def ensure(name: str, *, progress: Progress = quiet, cache: Path | None = None) -> Path:
    """Return the folder of a pinned package, fetching it first when it is not in the cache.

    Raises ConfigError when npm is missing, the registry does not answer, or the tarball is not
    the pinned one.
    """
    pinned = manifest()
    if name not in pinned:
        raise ConfigError(f"packages.toml: expected one of {', '.join(pinned)}, found {name!r}")
    return ensure_package(pinned[name], progress=progress, cache=cache)


def ensure_all(names: Iterable[str], *, progress: Progress = quiet) -> Mapping[str, Path]:
    """Return the folders of several pinned packages, fetching those that are missing at once."""
    wanted = tuple(names)
    with ThreadPoolExecutor(max_workers=4) as pool:
        folders = pool.map(lambda name: ensure(name, progress=progress), wanted)
        return dict(zip(wanted, folders, strict=True))


def ensure_anvil(*, progress: Progress = quiet) -> Path:
    """Return the anvil binary pinned for this platform, fetching it when it is not cached."""
    return _ensure_binary("anvil", progress)


def ensure_forge(*, progress: Progress = quiet) -> Path:
    """Return the forge binary pinned for this platform, fetching it when it is not cached."""
    return _ensure_binary("forge", progress)


def _ensure_binary(tool: str, progress: Progress) -> Path:
    system = platform.system().lower()
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    name = f"{tool}-{system}-{machine}"
    if name not in manifest():
        raise ConfigError(
            f"no {tool} is pinned for {system}-{machine}: expected {tool} 1.7 or newer on the PATH "
            "(https://getfoundry.sh), found none"
        )
    return ensure(name, progress=progress) / "bin" / tool


def ensure_package(
    package: Package, *, progress: Progress = quiet, cache: Path | None = None
) -> Path:
    """Return the folder of this package, fetching it first when it is not in the cache."""
    root = cache_root() if cache is None else cache
    final = root / "packages" / package.folder
    if final.is_dir():
        return final
    progress(f"fetching {package.spec} from npm")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=final.parent) as temporary:
            tarball = _pack(package, Path(temporary))
            check_integrity(package, tarball.read_bytes())
            unpacked = Path(temporary) / "unpacked"
            _unpack(package, tarball, unpacked)
            _publish(unpacked, final)
    except OSError as e:
        raise ConfigError(f"{package.spec}: cannot write the cache folder {final}: {e}") from e
    return final


def check_integrity(package: Package, tarball: bytes) -> None:
    """Raise ConfigError unless the tarball has the pinned sha512."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    if found != package.integrity:
        raise ConfigError(
            f"{package.spec}: expected integrity {package.integrity}, found {found}; not used"
        )


def _pack(package: Package, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise ConfigError("expected Node.js 18 or newer with npm on the PATH, found none")
    command = [npm, "pack", package.spec, *_NPM_OPTIONS]
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_PACK_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as e:
        raise ConfigError(
            f"{package.spec}: expected npm to answer in {_PACK_TIMEOUT_S} s, found no answer"
        ) from e
    tarballs = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or len(tarballs) != 1:
        raise ConfigError(f"{package.spec}: npm pack failed: {_npm_reason(done.stderr)}")
    return tarballs[0]


def _npm_reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.startswith("npm error")]
    said = [line.removeprefix("npm error").strip() for line in lines]
    telling = [line for line in said if line and not line.startswith("A complete log")]
    network = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ECONNRESET")
    if any(code in line for line in telling for code in network):
        return f"the npm registry cannot be reached ({'; '.join(telling[:3])})"
    return "; ".join(telling[:3]) or "npm gave no reason"


def _unpack(package: Package, tarball: Path, target: Path) -> None:
    kept = 0
    with tarfile.open(tarball, "r:gz") as archive:
        for member in archive:
            inside = _kept_path(package, member)
            stream = archive.extractfile(member) if inside is not None else None
            if inside is None or stream is None:
                continue
            path = target / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                shutil.copyfileobj(stream, out)
            path.chmod(0o755 if member.mode & 0o100 else 0o644)
            kept += 1
    if not kept:
        raise ConfigError(f"{package.spec}: expected files like {package.keep}, found none")


def _kept_path(package: Package, member: tarfile.TarInfo) -> PurePosixPath | None:
    """Return where a member goes, or None; links and paths that climb out are never kept."""
    path = PurePosixPath(member.name)
    if not member.isfile() or path.is_absolute() or ".." in path.parts:
        return None
    inside = PurePosixPath(*path.parts[1:])
    if str(inside).endswith(".dbg.json"):
        return None
    return inside if any(fnmatchcase(str(inside), p) for p in package.keep) else None


def _publish(unpacked: Path, final: Path) -> None:
    try:
        unpacked.rename(final)
    except OSError:
        # Another process was first: its folder has the same pinned contents.
        if not final.is_dir():
            raise

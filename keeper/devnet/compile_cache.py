"""Contracts compiled once and kept in the user's cache folder."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from keeper.devnet.contract import Artifact
from keeper.devnet.packages import Progress, cache_root, manifest, quiet
from keeper.devnet.solc import Compiled, Settings, compile_sources

_FORMAT = 1


class Program(Struct, frozen=True, kw_only=True):
    """What to compile: under `name` in the cache, and in words for who waits."""

    name: str
    label: str
    sources: Mapping[str, str]
    settings: Settings
    contracts: tuple[str, ...]
    """The contracts to keep of all that is compiled; none named: every one."""


def ensure_compiled(
    program: Program, *, progress: Progress = quiet, cache: Path | None = None
) -> dict[str, Artifact]:
    """Return the program's contracts, by name, compiling when they are not in the cache.

    Raises ConfigError as `compile_sources` does.
    """
    root = cache_root() if cache is None else cache
    kept = root / "compiled" / f"{program.name}-{_digest(program)}.json"
    if not kept.is_file():
        progress(f"compiling {program.label}, once: half a minute or so")
        compiled = compile_sources(
            program.sources, settings=program.settings, wanted=program.contracts, progress=progress
        )
        _keep(kept, [compiled[name] for name in program.contracts or compiled])
    return _load(kept)


def _digest(program: Program) -> str:
    """Return a digest of everything that decides the result."""
    compiler = manifest()[program.settings.compiler].integrity
    content = (_FORMAT, compiler, program.settings.as_json(), program.contracts, program.sources)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _keep(path: Path, contracts: Iterable[Compiled]) -> None:
    """Write under a name of our own first: another process may be doing the same."""
    content = {
        one.name: {"abi": one.abi, "bytecode": one.bytecode, "links": one.links}
        for one in contracts
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as draft:
        json.dump(content, draft)
    Path(draft.name).replace(path)


def _load(path: Path) -> dict[str, Artifact]:
    content: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return {name: Artifact(name=name, **parts) for name, parts in content.items()}

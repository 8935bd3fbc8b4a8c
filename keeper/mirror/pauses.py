"""Markets that are not acted on until a person says so: one file beside the database.

The file is both the flag and the evidence: what the mirror had, what the chain said. It outlives
the process, is written before anything else is done, and is never deleted by the daemon.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from keeper.core.chain import BlockRef
from keeper.core.errors import ConfigError
from keeper.core.lending import AccountRef
from keeper.core.parity import Sides
from keeper.core.text import printable
from keeper.runtime.presence import is_there

EVERY_MARKET = "*"
"""In the place of a market's name: all of the deployment."""


class Evidence(Struct, frozen=True, kw_only=True):
    """Why markets are paused, with both sides of what differed."""

    why: str
    markets: frozenset[str]
    block: BlockRef
    drifted: Mapping[AccountRef, Sides]


class Pauses:
    """The paused markets of one deployment, as its file says."""

    def __init__(self, database: Path, deployment: str) -> None:
        """Use the file of ``deployment`` beside ``database``."""
        self.path = database.with_name(f"{database.name}.{deployment}.paused.json")
        self._deployment = deployment

    def load(self) -> dict[str, str]:
        """Return why each paused market is paused; nothing when there is no file.

        Raises ConfigError when the file is there but cannot be read: it is not taken for none.
        """
        try:
            content = json.loads(self.path.read_text("utf-8"))
            markets = {str(market): str(why) for market, why in content["markets"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            msg = f"{self.path}: expected the evidence of a paused market, found: {error}"
            raise ConfigError(msg) from error
        if not markets:
            msg = f"{self.path}: expected the evidence of a paused market, found no market"
            raise ConfigError(msg)
        return markets

    def is_paused(self) -> bool:
        """Return whether the file is there. Raises OSError where nobody can tell."""
        return is_there(self.path)

    def add(self, evidence: Evidence, *, now: int) -> None:
        """Pause the markets of the evidence, beside those that are paused; on disk on return.

        Raises ConfigError when the file cannot be written.
        """
        markets = {**dict.fromkeys(sorted(evidence.markets), evidence.why), **self.load()}
        content = {
            "deployment": self._deployment,
            "markets": markets,
            "evidence": [*self._evidence(), _record(evidence, now=now)],
        }
        try:
            _replace(self.path, json.dumps(content, indent=2) + "\n")
        except OSError as error:
            msg = f"{self.path}: expected a file that can be written, found: {error.strerror}"
            raise ConfigError(msg) from error

    def resume(self, *, now: int) -> Path | None:
        """Lift the pause; return where the evidence is kept from now on, None without a pause.

        Raises ConfigError when the file cannot be renamed.
        """
        kept = self.path.with_name(f"{self.path.name.removesuffix('.json')}-resumed-{now}.json")
        try:
            self.path.rename(kept)
        except FileNotFoundError:
            return None
        except OSError as error:
            msg = f"{self.path}: expected a file that can be renamed, found: {error.strerror}"
            raise ConfigError(msg) from error
        return kept

    def _evidence(self) -> Iterable[object]:
        if not self.is_paused():
            return []
        found = json.loads(self.path.read_text("utf-8"))["evidence"]
        return found if isinstance(found, list) else []


def _record(evidence: Evidence, *, now: int) -> dict[str, object]:
    return {
        "time": now,
        "why": evidence.why,
        "block": evidence.block.number,
        "block_hash": evidence.block.hash,
        "accounts": [
            {
                "market": printable(ref.market),
                "account": ref.account,
                "mirror": {name: str(value) for name, value in sides.mirror.items()},
                "chain": {name: str(value) for name, value in sides.chain.items()},
            }
            for ref, sides in evidence.drifted.items()
        ],
    }


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, on disk on return."""
    draft = path.with_name(path.name + ".draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

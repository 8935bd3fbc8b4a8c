"""Load a root file of one chain, or of several under ``chains``.

An entry of ``chains`` says what the root file of that chain alone would say, and leaves out what
is the same for all: whatever is at the root holds for each chain, and a section of an entry is
laid over the root's, key by key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from keeper.config.budgets import require_day_holds_hour
from keeper.config.chain_file import ChainSettings
from keeper.config.checking import checked, origin
from keeper.config.complaints import suggestion
from keeper.config.document import Document, Location, Value, read_document
from keeper.config.settings import Settings, settings_of
from keeper.config.sources import find_outside, laid, overrides
from keeper.config.totals import FleetSettings, TotalSettings
from keeper.core.errors import ConfigError

CHAINS: Final = "chains"
TOTALS: Final = "totals"

ONE_FOR_ALL: Final = frozenset({"log", "alerts"})
"""Sections of the process, which no entry may change."""

_OF_AN_ENTRY: Final = ("chain", "protocols")
"""What cannot be the same for two chains."""

_NAMED_AFTER: Final = "; it is called after the chain's file where the entry names none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The chains that one keeper serves."""

    path: Path
    chains: tuple[Settings, ...]
    totals: TotalSettings
    several: bool
    """Whether the file lists its chains, be it one: each is then a failure domain of its own."""

    @property
    def first(self) -> Settings:
        """Return a chain's settings, for what all of them have in common."""
        return self.chains[0]

    def only(self, name: str | None) -> tuple[Settings, ...]:
        """Return the chain of a name, all when None. Raises ConfigError for an unknown one."""
        if name is None:
            return self.chains
        names = [one.chain.name for one in self.chains]
        if name not in names:
            wanted = ", ".join(map(repr, names))
            msg = f"--chain: expected one of {wanted}, found {name!r}{suggestion(name, names)}"
            raise ConfigError(msg)
        return (self.chains[names.index(name)],)

    def one(self, name: str | None, why: str) -> Settings:
        """Return the one chain that is meant; raise ConfigError, saying ``why``, when unclear."""
        chosen = self.only(name)
        if len(chosen) > 1:
            names = ", ".join(repr(one.chain.name) for one in chosen)
            msg = f"--chain: expected one of {names}, found none given; {why}"
            raise ConfigError(msg)
        return chosen[0]


def load_fleet(path: Path) -> Fleet:
    """Read a configuration of one chain or several. Raises ConfigError as ``load`` does."""
    document = read_document(path, find_outside)
    if CHAINS not in document.data:
        _require_no_totals(document)
        alone = settings_of(path, document)
        return Fleet(path=path, chains=(alone,), totals=TotalSettings(), several=False)
    totals = _totals(document)
    _require_entries(document)
    _require_apart(document)
    chains = tuple(settings_of(path, one) for one in _entries(document))
    _require_distinct(document, chains)
    return Fleet(path=path, chains=chains, totals=totals, several=True)


def _totals(document: Document) -> TotalSettings:
    """Return the budgets over all chains. Raises ConfigError."""
    said: dict[str, Value] = {TOTALS: document.data.get(TOTALS) or {}}
    found = checked(FleetSettings, replace(document, data=said)).totals
    require_day_holds_hour(found, TOTALS, "usd", partial(origin, FleetSettings, document))
    return found


def _require_no_totals(document: Document) -> None:
    """Raise ConfigError for a budget over all chains where there is one: it would not hold."""
    if overrides(FleetSettings):
        wanted = f"{CHAINS} in {document.shown}, whose one chain has limits and no {TOTALS}"
        raise ConfigError(f"environment KEEPER_{TOTALS.upper()}: expected {wanted}, found it set")


def _require_entries(document: Document) -> None:
    """Raise ConfigError unless ``chains`` is a list of entries that may say what they say."""
    found = document.data[CHAINS]
    if not isinstance(found, list) or not found:
        where = document.where((CHAINS,))
        raise ConfigError(f"{where}: {CHAINS}: expected a list of at least one chain, found none")
    for key in _OF_AN_ENTRY:
        if key in document.data:
            where = document.where((key,))
            raise ConfigError(f"{where}: {key}: expected in each entry of {CHAINS}, found beside")
    for index, entry in enumerate(found):
        where = document.where((CHAINS, index))
        if not isinstance(entry, dict):
            raise ConfigError(f"{where}: {CHAINS}.{index}: expected keys and values, found a value")
        for key in sorted(entry.keys() & {*ONE_FOR_ALL, TOTALS, CHAINS}):
            where = document.where((CHAINS, index, key))
            msg = f"{where}: {CHAINS}.{index}.{key}: expected at the root, for all chains at once"
            raise ConfigError(msg)


def _require_apart(document: Document) -> None:
    """Raise ConfigError for an override from outside that would make chains the same."""
    for key in overrides(ChainSettings):
        name = f"KEEPER_CHAIN_{key}".upper()
        raise ConfigError(
            f"environment {name}: expected no such override where {document.shown} has {CHAINS}, "
            f"as it would be of each; set the chain's file, or a ${{NAME}} in it"
        )


def _entries(document: Document) -> Iterable[Document]:
    """Return for each entry the document that its chain alone would have."""
    found = document.data[CHAINS]
    common = {key: one for key, one in document.data.items() if key not in (CHAINS, TOTALS)}
    for index, entry in enumerate(found if isinstance(found, list) else ()):
        own = dict(entry) if isinstance(entry, dict) else {}
        if "database" not in own and isinstance(shared := common.get("database"), str):
            own["database"] = _of_its_own(shared, own.get("chain"))
        at = (CHAINS, index)
        lines = document.lines | _moved(document.lines, at) | {(): document.line(at)}
        hidden = document.hidden | {one[2:] for one in document.hidden if one[:2] == at}
        yield Document(shown=document.shown, data=laid(common, own), lines=lines, hidden=hidden)


def _moved(lines: Mapping[Location, int], at: Location) -> dict[Location, int]:
    """Return the lines of an entry as if it were the root."""
    size = len(at)
    return {place[size:]: line for place, line in lines.items() if place[:size] == at}


def _of_its_own(database: str, chain_file: Value) -> str:
    """Return the chain's database beside a shared name: ``keeper.sqlite``, ``keeper.bnb.sqlite``.

    Each chain has a file of its own, so that trouble with one never reaches the others.
    """
    path = Path(database)
    return str(path.with_name(f"{path.stem}.{Path(str(chain_file)).stem}{path.suffix}"))


def _require_distinct(document: Document, chains: Iterable[Settings]) -> None:
    """Raise ConfigError when two entries are of one chain, or share what each needs alone."""
    seen: dict[tuple[str, object], str] = {}
    for index, one in enumerate(chains):
        facts: list[tuple[str, object]] = [
            ("chain", one.chain.name),
            ("chain id", one.chain.chain_id),
            ("database", one.database.resolve()),
            *(("deployment", name.name) for name in one.deployments),
            *([("http.port", one.http.port)] if one.http.port else []),
        ]
        for fact in facts:
            if fact in seen:
                where = document.where((CHAINS, index))
                what, found = fact
                msg = f"{where}: {CHAINS}.{index}: expected a {what} of its own"
                hint = _NAMED_AFTER if what == "database" else ""
                raise ConfigError(f"{msg}, found {found} of {seen[fact]} again{hint}")
            seen[fact] = one.chain.name

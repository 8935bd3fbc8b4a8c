"""Load a whole configuration: the root file, its chain and its protocol deployments."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from keeper.config.budgets import require_day_holds_hour
from keeper.config.chain_file import ChainSettings
from keeper.config.checking import checked, origin
from keeper.config.complaints import section, suggestion
from keeper.config.document import Document, Location, read_document
from keeper.config.keeper_file import (
    LEAST,
    MOST,
    AuditSettings,
    KeeperSettings,
    LimitSettings,
    LogSettings,
    Mode,
    OperatorSettings,
)
from keeper.config.parameters import known_protocols, parameters_model, parameters_type
from keeper.config.protocol_file import ProtocolSettings
from keeper.config.sending import SendingSettings
from keeper.config.sources import find_outside
from keeper.config.together import require_together
from keeper.config.totals import FleetSettings
from keeper.config.variables import require_reached
from keeper.config.watching import AlertSettings, HttpSettings
from keeper.core.errors import ConfigError
from keeper.core.units import Address

_LIMITS: Final = "limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One enabled or disabled deployment, with its adapter's own parameters."""

    path: Path
    settings: ProtocolSettings
    parameters: object
    """The ``Parameters`` of the adapter's package."""

    @property
    def name(self) -> str:
        """Return the deployment's name in plans and books."""
        return self.settings.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the files, the environment and the secret files say."""

    path: Path
    mode: Mode
    chain_path: Path
    chain: ChainSettings
    deployments: tuple[Deployment, ...]
    database: Path
    executor: Address | None
    recipient: Address | None
    operator: OperatorSettings
    limits: LimitSettings
    sending: SendingSettings
    audit: AuditSettings
    log: LogSettings
    alerts: AlertSettings
    http: HttpSettings


def load(path: Path) -> Settings:
    """Read a configuration, every file of it, and check all that needs no chain.

    No key and no password is read. Raises ConfigError with a line for each thing wrong:
    file and line, key, what was expected and what was found.
    """
    document = read_document(path, find_outside)
    if "chains" in document.data:
        where = document.where(("chains",))
        raise ConfigError(f"{where}: chains: expected a file of one chain, found several")
    return settings_of(path, document)


def settings_of(path: Path, document: Document) -> Settings:
    """Return the settings of one chain from its root document. Raises ConfigError."""
    require_reached(KeeperSettings, ChainSettings, FleetSettings)
    root = checked(KeeperSettings, document)
    _require_confirmed(root, document)
    _require_secret(document)
    folder = path.parent
    chain_path = folder / root.chain
    chain = checked(ChainSettings, read_document(chain_path, find_outside))
    require_together(root, chain, partial(origin, KeeperSettings, document))
    operator = root.operator.model_copy(
        update={
            "keystore": tuple(folder / one for one in root.operator.keystore),
            "password_file": _beside(folder, root.operator.password_file),
        }
    )
    return Settings(
        path=path,
        mode=root.mode,
        chain_path=chain_path,
        chain=chain,
        deployments=_deployments(root, folder, document, chain),
        database=folder / root.database,
        executor=root.executor,
        recipient=root.recipient,
        operator=operator,
        limits=root.limits,
        sending=root.sending.model_copy(
            update={"halt_file": _beside(folder, root.sending.halt_file)}
        ),
        audit=root.audit,
        log=root.log,
        alerts=root.alerts,
        http=root.http,
    )


def _beside(folder: Path, path: Path | None) -> Path | None:
    """Return a path of a file in ``folder`` as seen from here."""
    return None if path is None else folder / path


def _require_confirmed(root: KeeperSettings, document: Document) -> None:
    """Raise ConfigError for a limit beyond what is sane that is not confirmed by its key.

    Limits that make no sense together are refused, whatever is confirmed.
    """
    where_of = partial(origin, KeeperSettings, document)
    lines = []
    for name in root.confirm_dangerous:
        known = [f"{_LIMITS}.{one}" for one in LimitSettings.model_fields]
        if name not in known:
            where = where_of(("confirm_dangerous",))
            lines.append(f"{where}: confirm_dangerous: unknown {name!r}{suggestion(name, known)}")
    for name, found in root.limits:
        key = f"{_LIMITS}.{name}"
        if key in root.confirm_dangerous:
            continue
        wanted = _out_of_bounds(name, found)
        if wanted:
            lines.append(
                f"{where_of((_LIMITS, name))}: {key}: expected {wanted}, found {found}; "
                f"if it is meant, list {key} under confirm_dangerous"
            )
    if lines:
        raise ConfigError("\n".join(lines))
    require_day_holds_hour(root.limits, _LIMITS, "wei", where_of)


def _require_secret(document: Document) -> None:
    """Raise ConfigError for a channel's URL in the file itself: whoever has it may post."""
    alerts = document.data.get("alerts")
    urls = alerts.get("urls") if isinstance(alerts, dict) else None
    at: Location = ("alerts", "urls")
    items = enumerate(urls) if isinstance(urls, list) else ()
    places = [(*at, index) for index, _ in items] or ([at] if urls else [])
    for place in places:
        if place not in document.hidden:
            wanted = "${NAME} of an environment variable or a secret file"
            msg = f"{document.where(place)}: alerts.urls: expected {wanted}, found text in the file"
            raise ConfigError(msg)


def _out_of_bounds(name: str, found: int) -> str:
    """Return which bound a limit breaks, in words, or nothing."""
    if name in MOST and found > MOST[name]:
        return f"at most {MOST[name]}"
    if name in LEAST and found < LEAST[name]:
        return f"at least {LEAST[name]}"
    return ""


def _deployments(
    root: KeeperSettings, folder: Path, document: Document, chain: ChainSettings
) -> tuple[Deployment, ...]:
    """Return the deployments of the protocol files. Raises ConfigError."""
    found: dict[str, Deployment] = {}
    for index, file in enumerate(root.protocols):
        one = load_deployment(folder / file, chain.name, wrapped_native=chain.wrapped_native)
        if one.name in found:
            where = document.where(("protocols", index))
            msg = f"{where}: protocols: duplicate deployment {one.name!r}, expected each once"
            raise ConfigError(msg)
        found[one.name] = one
    return tuple(found.values())


def load_deployment(path: Path, chain: str, *, wrapped_native: Address | None = None) -> Deployment:
    """Read one protocol file of the chain named ``chain``. Raises ConfigError.

    A protocol that is told of the wrapped native coin is told of the chain's, where that is given.
    """
    document = read_document(path, find_outside)
    settings = section(ProtocolSettings, document, document.data)
    _require_one_of(document, "chain", settings.chain, [chain])
    _require_one_of(document, "protocol", settings.protocol, known_protocols())
    declared = parameters_type(settings.protocol)
    checked = section(
        parameters_model(declared), document, settings.parameters, under=("parameters",)
    )
    try:
        parameters = declared(**dict(checked))
    except ValueError as error:
        key = "parameters: " if str(error).startswith("expected") else "parameters."
        raise ConfigError(f"{document.where(('parameters',))}: {key}{error}") from error
    found = getattr(parameters, "wrapped_native", None)
    if found and wrapped_native not in (None, found):
        where = document.where(("parameters", "wrapped_native"))
        expected = f"expected the chain's, {wrapped_native}"
        raise ConfigError(f"{where}: parameters.wrapped_native: {expected}, found {found}")
    return Deployment(path=path, settings=settings, parameters=parameters)


def _require_one_of(document: Document, key: str, found: str, known: Iterable[str]) -> None:
    names = list(known)
    if found not in names:
        wanted = ", ".join(map(repr, names))
        near = suggestion(found, names) if len(names) > 1 else ""
        msg = f"{document.where((key,))}: {key}: expected {wanted}, found {found!r}{near}"
        raise ConfigError(msg)

"""Find an adapter by the name of its folder."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

import keeper.protocols
from keeper.core.errors import ConfigError
from keeper.core.ports import ProtocolAdapter

AnyAdapter = ProtocolAdapter[Any, Any]
"""An adapter whose market and positions are handed around unopened, of whatever type they are."""


def protocol_names() -> tuple[str, ...]:
    """Return the protocols that there is an adapter for."""
    found = pkgutil.iter_modules(keeper.protocols.__path__)
    return tuple(sorted(one.name for one in found if one.ispkg))


def adapter_for(
    protocol: str, *, deployment: str, start_block: int, parameters: Mapping[str, object]
) -> AnyAdapter:
    """Build the adapter of a deployment. Raises ConfigError naming the key that is wrong."""
    if protocol not in protocol_names():
        known = ", ".join(protocol_names())
        msg = f"{deployment}: protocol: expected one of {known}, found {protocol!r}"
        raise ConfigError(msg)
    module = importlib.import_module(f"keeper.protocols.{protocol}.adapter")
    declared = importlib.import_module(f"keeper.protocols.{protocol}.parameters").Parameters
    checked = _checked(deployment, declared, parameters)
    built = module.build(deployment=deployment, start_block=start_block, parameters=checked)
    return cast("AnyAdapter", built)


def _checked(deployment: str, declared: type, parameters: Mapping[str, object]) -> object:
    """Return the declared dataclass of the parameters."""
    names = {one.name for one in fields(declared)}
    unknown = sorted(parameters.keys() - names)
    if unknown:
        expected = ", ".join(sorted(names))
        msg = f"{deployment}: parameters: expected {expected}, found {', '.join(unknown)}"
        raise ConfigError(msg)
    try:
        return declared(**parameters)
    except (TypeError, ValueError) as e:
        msg = f"{deployment}: parameters: {e}"
        raise ConfigError(msg) from e

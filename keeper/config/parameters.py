"""Check a deployment's parameters against what its adapter asks for.

An adapter says so in ``keeper/protocols/<protocol>/parameters.py``: a frozen dataclass
``Parameters`` of addresses, whole numbers, booleans, texts, and tuples and mappings of these. A new
protocol therefore needs no change here.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, Field, create_model

import keeper.protocols
from keeper.config.section import Section
from keeper.config.values import AddressValue, Whole, split_list
from keeper.core.units import Address


def known_protocols() -> tuple[str, ...]:
    """Return the names of the adapters that are installed."""
    folders = files(keeper.protocols).iterdir()
    return tuple(sorted(one.name for one in folders if (one / "parameters.py").is_file()))


def parameters_type(protocol: str) -> type:
    """Return the dataclass that an adapter takes its parameters in."""
    module = importlib.import_module(f"keeper.protocols.{protocol}.parameters")
    found: type = module.Parameters
    return found


def parameters_model(declared: type) -> type[BaseModel]:
    """Return the schema of an adapter's ``Parameters``."""
    hints = get_type_hints(declared)
    # Any: pydantic's own signature of field definitions.
    fields: dict[str, Any] = {
        one.name: (_accepted(hints[one.name]), _default(one))
        for one in dataclasses.fields(declared)
    }
    return create_model("Parameters", __base__=Section, **fields)


def _accepted(hint: object) -> object:
    """Return the type that checks a setting declared as ``hint``."""
    if hint is Address:
        return AddressValue
    if hint is int:
        return Whole
    if get_origin(hint) is Mapping:
        key, value = map(_accepted, get_args(hint))
        return Mapping[key, value]  # type: ignore[valid-type]
    if get_origin(hint) is tuple:
        items: Any = tuple[tuple(map(_accepted, get_args(hint)))]  # type: ignore[misc]
        return Annotated[items, BeforeValidator(split_list)]
    return hint


def _default(one: "dataclasses.Field[object]") -> object:
    """Return a field's default, or pydantic's mark of a field without one."""
    if one.default_factory is not dataclasses.MISSING:
        return Field(default_factory=one.default_factory)
    return ... if one.default is dataclasses.MISSING else one.default

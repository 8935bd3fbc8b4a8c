"""Venus behind the port: the adapter of the Compound V2 family under its own name."""

from typing import Final

from keeper.protocols.compound_v2.adapter import CompoundAdapter
from keeper.protocols.venus.parameters import Parameters

PROTOCOL: Final = "venus"


def build(*, deployment: str, start_block: int, parameters: Parameters) -> CompoundAdapter:
    """Return the adapter of a deployment."""
    return CompoundAdapter(
        protocol=PROTOCOL, deployment=deployment, start_block=start_block, parameters=parameters
    )

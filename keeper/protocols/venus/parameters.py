"""What the configuration of a deployment must say: the same as of any fork of Compound V2."""

from keeper.protocols.compound_v2.parameters import Parameters

__all__ = ["Parameters"]

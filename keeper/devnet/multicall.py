"""Multicall3 at the address it has on every public chain."""

from typing import Final

from keeper.core.units import Address
from keeper.devnet.packages import Progress, ensure, quiet
from keeper.devnet.solc import compile_sources

MULTICALL3: Final = Address("0xca11bde05977b3631167028862be2a173976ca11")

_SOURCE = "src/v0.8/vendor/multicall/ebd8b64/src/Multicall3.sol"


def multicall3_runtime(progress: Progress = quiet) -> str:
    """Return the deployed code of Multicall3, compiled from the published source and kept.

    It has no constructor and no storage, so setting its code is the same as deploying it.
    """
    folder = ensure("multicall3", progress=progress)
    kept = folder / "Multicall3.runtime"
    if kept.is_file():
        return kept.read_text("ascii")
    source = (folder / _SOURCE).read_text("utf-8")
    compiled = compile_sources({"Multicall3.sol": source}, progress=progress)["Multicall3"]
    partial = kept.with_suffix(".partial")
    partial.write_text(compiled.runtime, "ascii")
    partial.rename(kept)
    return compiled.runtime

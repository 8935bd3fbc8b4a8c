"""Keep the processors from sleeping while nothing is to be done.

A processor that sleeps takes longer to wake, and meets colder caches, than a price event takes to
be answered. Linux lets whoever may write to a device say how long waking may take, for as long as
the device is held open: at zero, an idle processor turns in place instead of sleeping.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keeper.core.errors import ConfigError

DEVICE: Final = Path("/dev/cpu_dma_latency")
"""Linux: Documentation/power/pm_qos_interface.rst."""
_AT_ONCE: Final = bytes(4)
"""Microseconds that waking may take, as the device wants them: a 32-bit integer."""


@contextmanager
def awake(where: str, device: Path = DEVICE) -> Iterator[None]:
    """Have no processor sleep meanwhile; it costs power.

    Raises ConfigError, with ``where`` it was asked for, unless the device can be written.
    """
    try:
        held = os.open(device, os.O_WRONLY)
    except OSError as error:
        what = f"expected to be let write to {device}, found {error.strerror}"
        msg = f"{where}: {what}: run where that is allowed, or turn it off"
        raise ConfigError(msg) from error
    try:
        os.write(held, _AT_ONCE)
        yield
    finally:
        os.close(held)

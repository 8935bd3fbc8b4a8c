"""What skips a block, and how often it is tried first."""

from typing import Final

from keeper.core.errors import RefusedError, StaleError, TransientError

SKIPPED: Final = (TransientError, StaleError, RefusedError)
"""What skips a block: the next one may be read although this one was not, or was refused."""

TRIES: Final = 3
RETRY_S: Final = 0.25
"""How often, and how far apart, a look is acted on whose reads fail while nothing newer comes."""

"""What rooms ask of each other. Rooms import this package, never a sibling."""

from keeper.core.ports.chain import Reader, Simulator, Wire
from keeper.core.ports.loans import FlashSource, LoanBook
from keeper.core.ports.offers import Ask, OfferDesk, SwapOffer
from keeper.core.ports.protocol import Prices, ProtocolAdapter
from keeper.core.ports.sending import Journal, PrivateRelay, Signer
from keeper.core.ports.swaps import Hop, HopKind, Moved, Path, SwapBook, SwapQuote, SwapVenue
from keeper.core.ports.taken import TakenJournal
from keeper.core.ports.unwinding import UnwindBook, Unwinder

__all__ = [
    "Ask",
    "FlashSource",
    "Hop",
    "HopKind",
    "Journal",
    "LoanBook",
    "Moved",
    "OfferDesk",
    "Path",
    "Prices",
    "PrivateRelay",
    "ProtocolAdapter",
    "Reader",
    "Signer",
    "Simulator",
    "SwapBook",
    "SwapOffer",
    "SwapQuote",
    "SwapVenue",
    "TakenJournal",
    "UnwindBook",
    "Unwinder",
    "Wire",
]

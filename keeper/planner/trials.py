"""Amounts tried of one option along one route, each of them once."""

from msgspec import Struct, field

from keeper.core.lending import Option, SeizeQuote
from keeper.core.values import replace
from keeper.planner.broker import Broker
from keeper.planner.case import Case, Desk
from keeper.planner.routing import Route
from keeper.planner.sizing import FINE, Piece, best_amount, best_of, edge_from, pieces_of, split
from keeper.planner.stepping import largest_step
from keeper.planner.trade import Miss, Terms, Trade, seizure, trade


class Offer(Struct, frozen=True, kw_only=True):
    """One option, with the seizures already asked for: amounts recur along routes."""

    case: Case
    desk: Desk
    broker: Broker
    """At the desk."""
    terms: Terms
    option: Option
    largest: int
    """The most that may be repaid and borrowed, raw units of the debt."""
    before: tuple[SeizeQuote, ...] = ()
    """Liquidations of the pair that come first; the case is what they leave."""
    seized: dict[int, SeizeQuote | Miss] = field(default_factory=dict)
    after: "list[Offer | None]" = field(default_factory=list)
    """What ``following`` found, once it was asked."""

    def seize(self, repay: int) -> SeizeQuote | Miss:
        """Return ``seizure`` of that much, raw units of the debt."""
        found = self.seized.get(repay)
        if found is None:
            found = self.seized[repay] = seizure(self.case, self.option, repay)
        return found

    def following(self) -> "Offer | None":
        """Return what may be repaid after the largest step that leaves the account liquidatable."""
        if not self.after:
            self.after.append(self._following())
        return self.after[0]

    def _following(self) -> "Offer | None":
        first = largest_step(self.case, self.option)
        if first is None:
            return None
        quote, left, option = first
        before = (*self.before, quote)
        lent = self.desk.most(option.debt) - sum(one.repay for one in before)
        largest = min(option.max_repay, lent)
        if largest < 1:
            return None
        return replace(
            self,
            case=left,
            option=option,
            largest=largest,
            before=before,
            seized={},
            after=[],
        )

    def is_near_edge(self, repay: int) -> bool:
        """Return whether a little more would be refused, though there is more to repay."""
        more = repay + (repay >> 12) + 1
        return more <= self.largest and self.refuses(more)

    def refuses(self, repay: int) -> bool:
        """Return whether the protocol would not take that much."""
        return repay > self.largest or isinstance(self.seize(repay), Miss)

    def most_taken(self) -> int:
        """Return what the protocol really takes of an offer of the largest amount."""
        whole = self.seize(self.largest)
        return self.largest if isinstance(whole, Miss) else min(whole.repay, self.largest)

    def pieces(self) -> tuple[Piece, ...]:
        """Return the ranges of amounts that are searched one by one."""
        pieces = pieces_of(self.refuses, self.largest, self.most_taken())
        if self.option.pays_later:
            return pieces
        borrowed = sum(one.repay for one in self.before)
        return split(pieces, (most - borrowed for most in self.desk.lent(self.option.debt)))


class Trials(Struct, frozen=True, kw_only=True):
    """What has been tried along one route, by amount."""

    offer: Offer
    route: Route
    pieces: tuple[Piece, ...]
    tried: dict[int, Trade | Miss] = field(default_factory=dict)

    def at(self, repay: int) -> Trade | Miss:
        """Return what repaying that much comes to."""
        found = self.tried.get(repay)
        if found is None:
            found = self.tried[repay] = self._try(repay)
        return found

    def best(self, precision: int) -> Trade | Miss:
        """Return the trade with the greatest net, or the miss of the largest amount."""
        return self.at(self.best_offer(precision))

    def best_offer(self, precision: int) -> int:
        """Return the amount whose trade has the greatest net, the largest one where all miss."""
        best = best_of(self.net, self.pieces, precision) or self.offer.largest
        if precision == FINE and best == self.pieces[0][1] and self.offer.is_near_edge(best):
            edge = edge_from(self.offer.refuses, best)
            best = best_amount(self.net, edge, precision, low=best) or best
        return best

    def net(self, repay: int) -> int | None:
        """Return the net, None where there is no trade."""
        result = self.at(repay)
        return result.net if isinstance(result, Trade) else None

    def _try(self, repay: int) -> Trade | Miss:
        offer = self.offer
        seize = offer.seize(repay)
        if isinstance(seize, Miss):
            return seize
        steps = (*offer.before, seize)
        return trade(
            offer.case,
            offer.desk,
            offer.terms,
            self.route,
            offer.option,
            *steps,
            broker=offer.broker,
        )

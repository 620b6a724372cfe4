"""What an envelope is to the mark that it meets: new, known, too early, or of another outbox."""

from enum import Enum

from rimward.cloud.ingest.envelopes import Envelope
from rimward.cloud.ingest.epochs import ANY, Starts
from rimward.cloud.ingest.opened import OpenLake
from rimward.wire import Lane, Place, split_version, transaction_version


class Verdict(Enum):
    """What an envelope is to the mark that it meets."""

    NEW = "new"
    DUPLICATE = "duplicate"
    GAP = "gap"  # rows before it are missing: it comes again after them
    CLASH = "clash"  # another outbox's rows under this node's name


class Judge:
    """Compares envelopes with marks, and notes what is to be remembered before their rows are written."""

    def __init__(self, lake: OpenLake) -> None:
        self._lake = lake
        self.fresh: Starts = Starts()

    def judge(self, envelope: Envelope, mark: Place) -> Verdict:
        """Return what an envelope is; `mark` is the last row of its lane that is accounted for."""
        lane, header = envelope.lane, envelope.header
        counter = lane.epoch.counter
        nonce = self._nonce(lane.node, counter)
        if nonce not in (None, ANY, lane.epoch.nonce):
            return Verdict.CLASH
        if (counter, header.last) <= mark:
            if nonce is None:  # nothing ever came from this start, and yet the mark is past it
                return Verdict.CLASH
            if counter < mark[0] and self._passed(lane, (counter, header.last)):
                return Verdict.CLASH
            verdict = Verdict.DUPLICATE
        else:
            verdict = self._follows(envelope, mark)
        if verdict in (Verdict.NEW, Verdict.DUPLICATE):
            if nonce != lane.epoch.nonce:
                self.fresh.nonces[lane.node, counter] = lane.epoch.nonce
            if verdict is Verdict.NEW and counter != mark[0]:
                self._note_prior(lane, mark)
        return verdict

    def _nonce(self, node: str, counter: int) -> int | None:
        return self.fresh.nonces.get((node, counter), self._lake.epochs.nonce(node, counter))

    def _note_prior(self, lane: Lane, mark: Place) -> None:
        """Remember where the lane is left: rows of before that come later were another disk's."""
        if not self._lake.epochs.has_prior(lane.node, lane.fact, lane.epoch.counter):
            self.fresh.priors[lane.node, lane.fact, lane.epoch.counter] = transaction_version(*mark)

    def _passed(self, lane: Lane, place: Place) -> bool:
        """Tell whether a lane went past a start without a row of it: a disk that goes on beside its copy."""
        fresh = {
            counter: prior
            for (node, name, counter), prior in self.fresh.priors.items()
            if (node, name) == (lane.node, lane.fact)
        }
        end = self._lake.epochs.left(lane.node, lane.fact, place[0], fresh)
        return end is not None and place[1] > end

    def _follows(self, envelope: Envelope, mark: Place) -> Verdict:
        """Judge an envelope that goes beyond the mark: does it go on where the mark is?"""
        lane, header = envelope.lane, envelope.header
        if lane.epoch.counter == mark[0]:
            return Verdict.NEW if header.first <= mark[1] + 1 else Verdict.GAP
        if header.first != 1 or not self._has(envelope, mark):
            return Verdict.GAP
        if header.prior:
            known = self._nonce(lane.node, split_version(header.prior)[0])
            if known not in (ANY, header.prior_nonce):
                return Verdict.CLASH  # the mark passed that counter with another disk's rows
            prior = split_version(header.prior)
            if prior[0] < mark[0] and self._passed(lane, prior):
                return Verdict.CLASH  # it passed that counter before that row came
        return Verdict.NEW

    def _has(self, envelope: Envelope, mark: Place) -> bool:
        """Tell whether the row before an epoch's first is accounted for."""
        lane, prior = envelope.lane, envelope.header.prior
        if transaction_version(*mark) >= prior:
            return True
        if split_version(prior) > self._lake.high(lane.node, lane.fact):
            return False
        counter, seq = split_version(prior)
        spans = self._lake.coverage(lane.table).spans(lane.node, lane.fact, counter)
        return any(first <= seq <= last for first, last in spans)

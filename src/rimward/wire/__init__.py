"""Every message between processes of different layers: lanes, envelopes, marks and their subjects."""

from rimward.wire.envelope import EnvelopeError, Header, Row, decode, encode, encode_raw
from rimward.wire.lanes import Epoch, Lane, split_version, transaction_id, transaction_version
from rimward.wire.marks import Mark, Marks
from rimward.wire.source import Segment, SegmentSource, Supply
from rimward.wire.subjects import STREAM, inbox_prefix, marks_subject, message_id, parse_up, up_subject

__all__ = [
    "STREAM",
    "EnvelopeError",
    "Epoch",
    "Header",
    "Lane",
    "Mark",
    "Marks",
    "Row",
    "Segment",
    "SegmentSource",
    "Supply",
    "decode",
    "encode",
    "encode_raw",
    "inbox_prefix",
    "marks_subject",
    "message_id",
    "parse_up",
    "split_version",
    "transaction_id",
    "transaction_version",
    "up_subject",
]

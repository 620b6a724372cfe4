"""Every message between processes of different layers: lanes, envelopes, marks and their subjects."""

from rimward.wire.envelope import DamagedError, EnvelopeError, Header, Row, decode, encode, encode_raw
from rimward.wire.hello import Hello, Tally, Verdict, Welcome
from rimward.wire.lanes import Epoch, Lane, split_version, table_of, transaction_id, transaction_version
from rimward.wire.marks import Mark, Marks
from rimward.wire.source import Place, Segment, SegmentSource, Supply, seal
from rimward.wire.subjects import (
    PRIORITIES,
    MessageId,
    fact_subject,
    hello_subject,
    inbox_prefix,
    marks_subject,
    message_id,
    parse_message_id,
    parse_prior,
    parse_up,
    prior_text,
    stream,
    stream_subject,
    up_subject,
)

__all__ = [
    "PRIORITIES",
    "DamagedError",
    "EnvelopeError",
    "Epoch",
    "Header",
    "Hello",
    "Lane",
    "Mark",
    "Marks",
    "MessageId",
    "Place",
    "Row",
    "Segment",
    "SegmentSource",
    "Supply",
    "Tally",
    "Verdict",
    "Welcome",
    "decode",
    "encode",
    "encode_raw",
    "fact_subject",
    "hello_subject",
    "inbox_prefix",
    "marks_subject",
    "message_id",
    "parse_message_id",
    "parse_prior",
    "parse_up",
    "prior_text",
    "seal",
    "split_version",
    "stream",
    "stream_subject",
    "table_of",
    "transaction_id",
    "transaction_version",
    "up_subject",
]

"""When each row's event was, by what its boot's clock turned out to be: the schema `timed` of every query.

    select _event_at, _event_at_bound from timed.too_warm

A row has the machine's own clock alone for certain; the records in `_clock` say what that was in wall time,
those that came later too. `_event_at` is when the node took the event, and it is wrong by no more than
`_event_at_bound` seconds; both are null where nobody can know (GUARANTEES §6).
"""

from collections.abc import Iterable
from typing import Any

SCHEMA = "timed"
CLOCK = "_clock"  # the table of records
DRIFT = 500e-6  # of a clock between two records: what the kernel takes for itself
_NO_CLOCK = (
    "select null::varchar as _node, null::bigint as _epoch, null::varchar as boot, null::bigint as mono, "
    "null::bigint as wall, null::bigint as bound where false"
)
_VIEW = """
create view {schema}."{name}" as
with boots as (select _node, _epoch, any_value(boot) as boot from ({clock}) group by all),
clocks as (select _node, boot, mono, wall, bound from ({clock}) where bound is not null),
placed as (
  select t.*, b.boot as _boot from main."{name}" t
  left join boots b on t._node = b._node and t._epoch = b._epoch
),
near as (
  select p.*, c.mono as _mono_0, c.wall as _wall_0, c.bound as _bound_0, d.mono as _mono_1, d.wall as _wall_1,
    d.bound as _bound_1
  from placed p
  asof left join clocks c on p._node = c._node and p._boot = c.boot and p._mono >= c.mono
  asof left join clocks d on p._node = d._node and p._boot = d.boot and p._mono <= d.mono
),
judged as (
  select *, _bound_0 + (_mono - _mono_0) * {drift} as _wrong_0,
    _bound_1 + (_mono_1 - _mono) * {drift} as _wrong_1
  from near
)
select * exclude (_boot, _mono_0, _wall_0, _bound_0, _mono_1, _wall_1, _bound_1, _wrong_0, _wrong_1),
  make_timestamp(case when _wrong_0 <= _wrong_1 or _wrong_1 is null then _wall_0 + (_mono - _mono_0)
    else _wall_1 - (_mono_1 - _mono) end // 1000)::timestamptz as _event_at,
  least(_wrong_0, _wrong_1) / 1e9 as _event_at_bound
from judged
"""


def is_timed(sql: str) -> bool:
    """Tell whether a query may name the schema."""
    return SCHEMA in sql.lower()


def place(db: Any, tables: Iterable[str]) -> None:
    """Give a DuckDB connection the schema over its tables."""
    names = list(tables)
    clock = 'select * from main."_clock"' if CLOCK in names else _NO_CLOCK
    db.execute(f"create schema {SCHEMA}")
    for name in names:
        if not name.startswith("_"):
            db.execute(_VIEW.format(schema=SCHEMA, name=name, clock=clock, drift=DRIFT))

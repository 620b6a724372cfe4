import pytest

from rimward.console.figures import age, count, duration, milliseconds, plural, rate, size


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (count(1234567), "1\u2009234\u2009567"),
        (count(None), "\u2013"),
        (rate(0.04), "0.0"),
        (rate(99.4), "99.4"),
        (rate(1234.5), "1\u2009234"),
        (milliseconds(38_400), "0.038"),
        (milliseconds(250_000_000), "250"),
        (duration(38_400), "38.4 µs"),
        (duration(5_000_000), "5 ms"),
        (duration(2_500_000_000), "2.5 s"),
        (age(0.4), "0 s"),
        (age(119), "119 s"),
        (age(120), "2 min"),
        (age(7200), "2 h"),
        (age(1e6), "11 d"),
        (size(512), "512 B"),
        (size(1 << 20), "1.0 MiB"),
        (plural(1, "device"), "1 device"),
        (plural(2, "device"), "2 devices"),
    ],
)
def test_numbers_are_written_short_and_with_their_unit(written: str, expected: str) -> None:
    assert written == expected

from hypothesis import given
from hypothesis import strategies as st

from rimward.local.text import printable


def test_an_escape_sequence_of_a_device_reaches_no_terminal() -> None:
    assert printable("a\x1b[2Jb\r\nc\x9b\x7f") == "a\\x1b[2Jb\\r\\nc\\x9b\\x7f"
    assert printable("käse 🧀 10 µs") == "käse 🧀 10 µs"
    assert printable("evil\u202etxt.exe") == "evil\\u202etxt.exe"
    assert printable("\ud800") == "\\ud800"


@given(st.text(st.characters()))
def test_nothing_that_steers_is_left_in_any_text(text: str) -> None:
    safe = printable(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in safe)
    safe.encode()

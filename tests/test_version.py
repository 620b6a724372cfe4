"""The package's number."""

from importlib.metadata import version

from rimward.version import VERSION


def test_the_number_in_the_code_is_the_one_of_the_package() -> None:
    assert version("rimward") == VERSION

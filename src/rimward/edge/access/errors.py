"""What is wrong with an access file."""

from typing import ClassVar

from rimward.events import RimwardError


class AccessError(RimwardError):
    """An access file that can't be used: which key of which file has which value, and the rule it breaks."""

    code: ClassVar[str] = "access"

    def __init__(self, file: str, place: str, rule: str, value: object = None) -> None:
        """`place` is the key's path, such as `device[2].id`; a secret is never given as the value."""
        said = f" is {value!r}:" if value is not None else ":"
        super().__init__(f"{file}: {place}{said} {rule}" if place else f"{file}: {rule}")
        self.file = file
        self.place = place
        self.rule = rule

"""What a person is told when something can't be done: one sentence with a next step."""

from rimward.events import RimwardError


class DevError(RimwardError):
    """The message is the sentence."""

    code = "dev"

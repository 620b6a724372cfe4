"""What a peer did wrong, as a status."""

from rimward.events import RimwardError


class HttpError(RimwardError):
    """The peer broke a rule of HTTP or one of our limits; the connection ends after the answer."""

    code = "http"

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.target = ""  # of the request it happened in, where that is known
        self.sample = b""  # the first bytes of what could not be taken

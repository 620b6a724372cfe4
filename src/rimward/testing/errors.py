"""Why a Site can not do what a test asks."""

from rimward.events import RimwardError


class CloudMissing(RimwardError):
    """What reads the lake was called where the cloud extra is not installed."""

    code = "cloud-missing"


class SiteClosed(RimwardError):
    """A Site was used outside its `async with`."""

    code = "site-closed"

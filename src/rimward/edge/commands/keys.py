"""Keys of commands as the I/O process has them on disk: all that the deep process needs of carrying out."""

from msgspec import Struct

SPACE = "command"
STORE = ""  # the key under which the store's own id is


class Kept(Struct, frozen=True, array_like=True):
    """One key on disk."""

    begun: bool  # False: its result is committed
    expires: int  # wall ns of the hub
    number: int = 0

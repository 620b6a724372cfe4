"""Where an error was raised."""


def place_of(error: BaseException) -> str:
    """Return the file and line at which an error was raised."""
    traceback = error.__traceback__
    place = "?"
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = f"{code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place

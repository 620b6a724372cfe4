"""Content formats: CoAP's numbers for media types [RFC 7252 §12.3]. MessagePack has none."""

MEDIA: dict[int, str] = {
    0: "text/plain; charset=utf-8",
    40: "application/link-format",
    42: "application/octet-stream",
    50: "application/json",
    51: "application/json-patch+json",
    52: "application/merge-patch+json",
    60: "application/cbor",
    110: "application/senml+json",
    112: "application/senml+cbor",
}
_NUMBERS = {media.partition(";")[0]: number for number, media in MEDIA.items()}
_SUFFIXES = {"json": 50, "cbor": 60}


def number_of(media: str | None) -> int | None:
    """Return a media type's number; of one without, that of its suffix; None where it has neither."""
    if media is None:
        return None
    name = media.partition(";")[0].strip().lower()
    found = _NUMBERS.get(name)
    return _SUFFIXES.get(name.rpartition("+")[2]) if found is None and "+" in name else found

"""What each part of an event costs, ns: decode, match, dispatch, function, encode, write, telemetry."""

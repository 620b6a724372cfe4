"""CPU of a confirmable CoAP request: a whole node beside aiocoap, where that is installed."""

"""MQTT 3.1.1 and 5 over TCP: the node ends the protocol itself and is the devices' broker."""

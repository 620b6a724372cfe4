"""What the devices' door costs, beside a C responder and other brokers: CPU, delay, memory, HTTP."""

"""Reading -> rule -> command back, beside mosquitto + Node-RED and a bare C epoll loop (README.md)."""

"""How bytes get to the gateways: TCP, UDP, TLS and Unix sockets, with or without a proxy before them."""

"""What operators of streams cost, and one window job beside Bytewax and a Node-RED flow."""

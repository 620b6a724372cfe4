"""WebSocket, on the HTTP gateway's listener: messages for functions, and MQTT in frames.

`opening` is imported when the first socket opens: the library of frames takes 40 ms.
"""

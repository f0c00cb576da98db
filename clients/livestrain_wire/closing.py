"""How sockets that send messages of several parts are closed."""

MOMENT_MS = 100
"""
Linger of a socket whose messages may be thrown away [ms].

Not 0: ZeroMQ 4.3.5 aborts the whole process where a socket stops lingering while its peer goes with half of a message
(https://github.com/zeromq/libzmq/issues/3442). With 0 that is whenever it is closed; after a moment the peer would have
to go just then.
"""

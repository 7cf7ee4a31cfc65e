"""The xDS transport protocol as pure state machines: no socket, no clock, no task.

``decode`` turns a request's bytes into a :class:`~nodegate.server.protocol.request.Request`; ``subscription`` is what
a client asks for; ``ledger`` what it has acknowledged; ``rejection`` what it refused; ``type_state`` puts these
together for one resource type; ``stream`` for all types of one stream, with the order and the waits between types
(``ordering``); ``response`` makes the bytes. Numbers like (28) are the statements of the protocol specification.
"""

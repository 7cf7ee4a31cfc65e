"""The xDS transport protocol as pure state machines: no socket, no clock, no task.

``decode`` turns a request's bytes into a :class:`~nodegate.server.protocol.request.Request`; ``subscription`` is what
a client asks for; ``ledger`` what it has acknowledged; ``rejection`` what it refused; ``agenda`` what is to be looked
at; ``type_state`` puts these together for one resource type. ``planning`` decides what is sent, ``shared`` makes what
many streams are sent alike, ``ordering`` is the waits between types, ``heartbeat`` renews what may expire, ``stream``
drives all types of one stream, ``response`` makes the bytes. Numbers like (28) are the statements of the protocol
specification.
"""

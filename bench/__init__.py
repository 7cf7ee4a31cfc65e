"""Benchmarks: figures at the client's socket, beside a floor and a peer measured in the same run. Asserts nothing.

``scenarios`` has one module per question, ``servers`` what can be put to it, ``driver`` the conversation with the
processes under measurement. The clients (``load/``) and the peer (``peers/``) are Go programs.
"""

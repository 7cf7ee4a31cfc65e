"""The parts the end-to-end tests are made of: real processes, real sockets, files that are edited.

``site`` puts them together: a folder of manifests, the control plane that reads it, an Envoy that is served by it, and
backends that say their name. ``load`` sends requests at a constant rate from a process of its own.
"""

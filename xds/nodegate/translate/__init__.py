"""Objects in, Envoy resources out: pure, incremental, deterministic.

``step`` is the only entry. No clock, no logger, no I/O here; import-linter and a test keep it so.
"""

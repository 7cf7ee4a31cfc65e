"""What a redirect costs a new connection, and a change: ``python -m bench.redirect``."""

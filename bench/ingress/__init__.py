"""What one change of an object costs until an ADS client has what follows from it: all of nodegate but its source.

``python -m bench.ingress`` prints the tables, ``--write docs/performance.md`` puts them there.
"""

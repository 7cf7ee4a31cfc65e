"""The target: what every Envoy should have, as immutable shared bytes.

``resource`` is one serialised resource, ``target`` all of them with the changes between versions, ``view`` the target
for one client's facts, ``publisher`` tells streams that there is a new target.
"""

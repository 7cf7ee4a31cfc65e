"""Frozen values: the Kubernetes objects nodegate looks at, changes of them, and problems found in them.

No Kubernetes client type goes past ``source``; everything after it sees only these values.
"""

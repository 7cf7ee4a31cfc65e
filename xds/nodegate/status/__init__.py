"""What proxies prove by their answers, what follows from it for the objects, and what is written to a cluster.

``quarantine`` decides which objects go back to older content because proxies rejected the newest. ``services`` says
which Service each Ingress has to own, and ``writer`` keeps the cluster that way; ``addresses`` writes the address of
an Ingress once it is proved. ``requests`` is how all of them write.
"""

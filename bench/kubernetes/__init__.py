"""nodegate beside Contour on the same real Kubernetes API: ``python -m bench.kubernetes``.

One API server, one set of objects, one kind of Envoy; the two take turns, so that neither is measured while the other
works. ``bench/traffic`` changes the objects, asks the Envoys and answers as the backends do.
"""

"""nodegate: ingress for Kubernetes with one Envoy per node and no sidecars.

The data flows one way::

    source -> model -> translate -> snapshot -> server -> Envoy
                ^ ports (claims)                  |
                `------- status  <--- ACK / NACK -'

``source`` yields changes of decoded objects, ``model`` holds them as frozen values, ``translate`` turns them
into Envoy resources without any I/O, ``snapshot`` keeps those resources as shared bytes, ``server`` streams them
over ADS. ``engine`` drives the flow; everything is wired together in ``app`` and nowhere else.
"""

__version__ = "0.1.0"

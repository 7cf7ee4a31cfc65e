"""``nodegate demo``: the whole path on one machine, with a real Envoy, without Kubernetes and without root.

``command`` is the click command, ``stage`` starts and stops the parts, ``backends`` are the two small services of the
example, ``envoy_binary`` finds or installs Envoy, ``envoy_process`` runs it, ``child`` is any program that runs with it
and ``tether`` ties it to our own life. With ``--redirect``, which takes root, it is all on a node of its own:
``network`` makes that, ``redirected`` runs the agent and shows what it does.
"""

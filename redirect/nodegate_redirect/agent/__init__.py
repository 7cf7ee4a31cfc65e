"""The agent of a node: brings its kernel to what the control plane asks for, and says what is not so yet.

``following`` and ``session`` are the client's half of the delta protocol, pure; ``client`` is the gRPC shell around
them. ``kernel`` is what blocks: it looks at the node, plans, and lets a mode apply the plan. ``watching`` wakes the
``loop``, in which everything meets. ``state`` keeps what is asked for across restarts, ``choosing`` finds the mode,
``metrics`` and ``views`` show what is.
"""

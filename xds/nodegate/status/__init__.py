"""What proxies prove by their answers, what follows from it for the objects, and what is written to a cluster.

``quarantine`` decides which objects go back to older content because proxies rejected the newest.

Four write, each one kind of thing: ``writer`` the Services of listeners (what they are says ``services``),
``addresses`` the address of an Ingress once it is proved (``proof``), ``events`` what is wrong (its words are in
``event``), ``certificate`` the Secret that replicas share. ``election`` says which replica may, and ``leadership``
carries it out. ``work`` is how all of them get through what there is to do, ``pace`` how fast, ``requests`` how they
send it.
"""

"""Objects in, Envoy resources out: pure, incremental, deterministic.

The whole interface::

    index = Index.new(Settings(ingress_class=None))      # nodegate.translate.index, nodegate.translate.settings
    index, changed = step(index, changes)                # nodegate.translate.step; the old index is used up
    changed = full(settings, changes)                    # the same from nothing, for one-shot commands

``changes`` are :data:`nodegate.model.changes.Change`. ``changed`` (:class:`nodegate.translate.result.Changed`) names
only what is different now: resources put in or taken out, the whole list of problems of each object where it changed,
and the listeners that want a port. A listener is made once a ``Claimed`` for its name without port has come in::

    Upsert(ingress) -> Changed.listeners == {"default/basic-ingress/http": 80}
    Claimed("default/basic-ingress/http", 18243) -> a Listener "default/basic-ingress/http@18243"

``static.static_configuration(entries, facts)`` makes one complete Envoy configuration of resources,
``render.rendered(resource)`` and ``render.rendered_snapshot(entries, facts)`` make plain values for people.

How a step goes: ``intake`` files each change and marks what it touches. ``membership`` decides which Ingresses are ours
(``ingress_class``) and reads each on its own (``plan``, ``paths``, ``hosts``, ``annotations``). ``certifying`` chooses
the Secret of every host (``tls``, ``certificates``). ``making`` makes what is marked: ``virtual_hosts`` of the plans of
one host, joined to route configurations (``route_table``), ``listeners`` with a ``connection_manager``, ``clusters``
and ``endpoints``. Every made thing is compared with what it was, so equal content is never named again. ``expiry`` is
for who has a clock. No clock, no logger, no I/O here; import-linter and a test keep it so.
"""

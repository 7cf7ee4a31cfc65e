"""The engine: one event loop that turns what the source says into the target that every proxy should have.

``loop`` is that loop and ``inbox`` what happens in it next, ``translation`` keeps the index of translation and survives
what it raises, ``claiming`` gives its listeners their ports, ``holdoff`` says how long changes are gathered,
``problems`` joins what is wrong with each object, ``expiry`` looks at certificates once a day, and ``keeping`` writes
the ports down.
"""

from nodegate.engine.loop import Engine
from nodegate.engine.translation import Translation

__all__ = ["Engine", "Translation"]

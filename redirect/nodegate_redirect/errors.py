"""Everything the redirect raises on purpose, below :class:`nodegate.errors.NodegateError`.

::

    NodegateError
     `-- RedirectError
          +-- ContractError      a ServiceRedirect cannot be honoured as it is
          +-- KernelError        the kernel, or a program that talks to it, refused something
          +-- OccupiedError      another agent works on this kernel
          `-- UnsupportedError   this machine lacks something that a mode needs
"""

from nodegate.errors import NodegateError


class RedirectError(NodegateError):
    """Base of all errors of the redirect."""


class ContractError(RedirectError):
    """A ServiceRedirect says something that no node could do. The text names the field."""


class KernelError(RedirectError):
    """The kernel refused something. The text holds what was asked for and what it said."""


class OccupiedError(RedirectError):
    """Another agent works on this kernel. The text says which."""


class UnsupportedError(RedirectError):
    """A mode cannot work here. The text says what is missing and how to get it."""

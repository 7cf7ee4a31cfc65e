"""Everything nodegate raises on purpose.

::

    NodegateError
     +-- UsageError          what was asked for cannot be done: a flag, a file or a folder is wrong
     +-- SourceError         a source cannot deliver objects at all
     +-- StateError          the state folder cannot be read or written
     +-- ClusterError        a request to the Kubernetes API brought nothing
     `-- TransportError      the xDS endpoint cannot be opened

A wrong *object* is never an exception: it is a :class:`nodegate.model.problem.Problem`, and everything else goes on.
"""


class NodegateError(Exception):
    """Base of all errors of nodegate. The text is a full sentence that helps the person who reads it."""

    exit_code = 1


class UsageError(NodegateError):
    """What was asked for on the command line or in the environment cannot be done."""

    exit_code = 2


class SourceError(NodegateError):
    """A source cannot deliver objects at all, as opposed to one object of it being wrong."""


class StateError(NodegateError):
    """The state folder cannot be read or written."""


class ClusterError(NodegateError):
    """A request to the Kubernetes API brought nothing. ``status`` is the answer's, 0 when there was none."""

    status = 0


class TransportError(NodegateError):
    """The xDS endpoint cannot be opened or secured as asked."""

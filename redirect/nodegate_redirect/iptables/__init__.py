"""TPROXY by iptables: the mode that works on every kernel a cluster runs on.

``chains`` and ``sets`` say as text what the kernel should hold, ``saved`` reads what it holds, ``mode`` makes the one
the other. What each rule is for is told in docs/redirect.md.
"""

from nodegate_redirect.iptables.mode import IptablesMode

__all__ = ["IptablesMode"]

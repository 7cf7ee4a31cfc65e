"""A Secret as it is, and as it was when it was last good."""

from __future__ import annotations

from nodegate.model.objects import Secret
from nodegate.translate.certificates import AUTHORITY, Checked, authority_fault, check_secret


class StoredSecret:
    """One Secret. It is looked at only when something wants to serve it, as that costs a parse of its key.

    The last good content is kept: a rotation that went wrong must not take down what was served before
    (ingress.md 35). ``before`` is what was stored under the name until now.
    """

    __slots__ = ("_before", "_checked", "content")

    def __init__(self, content: Secret, before: StoredSecret | None) -> None:
        self.content = content
        self._before = before.served if before else None
        self._checked: Checked | None = None

    @property
    def checked(self) -> Checked:
        """What looking at the content showed."""
        if self._checked is None:
            self._checked = check_secret(self.content)
        return self._checked

    @property
    def served(self) -> Secret | None:
        """The content to serve as a key pair: this one if it is good, else the last good one, if any."""
        return self._before if self.checked.fault else self.content

    @property
    def authority(self) -> bytes:
        """The certificates of authorities to verify endpoints with; empty when there are none."""
        bundle = self.content.data.get(AUTHORITY, b"")
        return b"" if authority_fault(bundle) else bundle

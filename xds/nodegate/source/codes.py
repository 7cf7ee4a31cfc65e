"""Every kind of problem a source finds in its own material. ``docs/problems.md`` is generated from this table."""

from __future__ import annotations

from nodegate.model.problem import ProblemCode, Severity

FOLDER_MISSING = ProblemCode(
    "FolderMissing",
    "The folder of manifests is not there. Everything that was read from it before stays in use.",
    "Put the folder back, or start nodegate with another --source.",
)
FILE_UNREADABLE = ProblemCode(
    "FileUnreadable",
    "A file or folder cannot be read. What was read from it before stays in use.",
    "Make it readable for the user nodegate runs as, or remove it.",
)
FILE_TOO_LARGE = ProblemCode(
    "FileTooLarge",
    "A manifest is larger than nodegate reads. What was read from it before stays in use.",
    "Split it into several files; `---` separates documents.",
)
EMPTY_FILE = ProblemCode(
    "EmptyFile",
    "A manifest that held objects is empty. That is what a full disk leaves, or `kubectl get ... > FILE` while it runs "
    "or when it fails, so what was read from the file before stays in use.",
    "Remove the file to remove its objects, or leave a comment in it.",
    Severity.WARNING,
)
INVALID_ENCODING = ProblemCode(
    "InvalidEncoding",
    "A manifest is not UTF-8 text. What was read from it before stays in use.",
    "Save the file as UTF-8.",
)
INVALID_SYNTAX = ProblemCode(
    "InvalidSyntax",
    "A manifest is not valid YAML or JSON. What was read from the whole file before stays in use.",
    "Correct the file at this line; `kubectl apply --dry-run=client -f FILE` reads it the same way.",
)
DOCUMENT_TOO_COMPLEX = ProblemCode(
    "DocumentTooComplex",
    "A manifest nests deeper, or its aliases repeat more, than any Kubernetes object needs. "
    "What was read from the whole file before stays in use.",
    "Write the values out instead of using YAML anchors and aliases, or split the file.",
)
DUPLICATE_KEY = ProblemCode(
    "DuplicateKey",
    "A field is written twice in the same place, so one of the two values would be lost. "
    "The last good version of the object, if there is one, stays in use.",
    "Remove one of the two.",
)
UNSUPPORTED_YAML = ProblemCode(
    "UnsupportedYaml",
    "A document uses a YAML feature that no Kubernetes object can have: a tag, or a key that is not text. "
    "The last good version of the object, if there is one, stays in use.",
    "Write plain YAML, as `kubectl get -o yaml` does.",
)
NOT_AN_OBJECT = ProblemCode(
    "NotAnObject",
    "A document is not a Kubernetes object: it has no apiVersion, no kind, or is not a mapping. It is left out, and "
    "nothing that was read from its file before is taken away, because it cannot be told what the document was.",
    "Give it apiVersion and kind, or move the file out of the folder.",
)
UNSUPPORTED_VERSION = ProblemCode(
    "UnsupportedVersion",
    "The object has a kind that nodegate reads, with an apiVersion that Kubernetes does not serve for it any more, or "
    "never did. The last good version of the object, if there is one, stays in use.",
    "Write the object for the current API; the field names may differ, not only apiVersion.",
)
INVALID_NAME = ProblemCode(
    "InvalidName",
    "The object has no name, or one that Kubernetes does not accept, so it cannot be told from others.",
    "Give it a metadata.name of lower-case letters, digits, '-' and '.', starting and ending with a letter or digit.",
)
MISSING_FIELD = ProblemCode(
    "MissingField",
    "A required field is missing. The last good version of the object, if there is one, stays in use.",
    "Add the field.",
)
INVALID_TYPE = ProblemCode(
    "InvalidType",
    "A field has a value of the wrong type. The last good version of the object, if there is one, stays in use.",
    "Write a value of the type the message names.",
)
INVALID_VALUE = ProblemCode(
    "InvalidValue",
    "A field has a value that a Kubernetes API server refuses. "
    "The last good version of the object, if there is one, stays in use.",
    "Correct the value.",
)
UNKNOWN_FIELD = ProblemCode(
    "UnknownField",
    "The object has a field that its API does not have, probably a misspelt one. The field is ignored.",
    "Correct the name of the field, or remove it.",
    Severity.WARNING,
)
DUPLICATE_OBJECT = ProblemCode(
    "DuplicateObject",
    "The same object is written in two places. The first by path of the file counts, the other is ignored; "
    "it takes over when the first goes away.",
    "Remove one of the two.",
    Severity.WARNING,
)
STATE_NOT_WRITTEN = ProblemCode(
    "StateNotWritten",
    "The last good objects cannot be kept in the state folder. "
    "After a restart an object that does not decode would be missing.",
    "Make --state-dir writable for the user nodegate runs as, or free some space there.",
    Severity.WARNING,
)

CODES: tuple[ProblemCode, ...] = (
    FOLDER_MISSING,
    FILE_UNREADABLE,
    FILE_TOO_LARGE,
    EMPTY_FILE,
    INVALID_ENCODING,
    INVALID_SYNTAX,
    DOCUMENT_TOO_COMPLEX,
    DUPLICATE_KEY,
    UNSUPPORTED_YAML,
    NOT_AN_OBJECT,
    UNSUPPORTED_VERSION,
    INVALID_NAME,
    MISSING_FIELD,
    INVALID_TYPE,
    INVALID_VALUE,
    UNKNOWN_FIELD,
    DUPLICATE_OBJECT,
    STATE_NOT_WRITTEN,
)

"""Labels and annotations, of any kind of object."""

from __future__ import annotations

from collections.abc import Iterator

from nodegate.model.objects import Metadata
from nodegate.source import codes
from nodegate.source.finding import Finding
from nodegate.source.validation.names import label_value_fault, qualified_name_fault

_ANNOTATIONS_LIMIT = 256 * 1024  # bytes of all keys and values together (apimachinery, TotalAnnotationSizeLimitB)


def check_metadata(metadata: Metadata) -> Iterator[Finding]:
    """Yield what is wrong with labels and annotations."""
    for key, value in metadata.labels.items():
        if fault := qualified_name_fault(key) or label_value_fault(value):
            yield Finding(codes.INVALID_VALUE, ("metadata", "labels", key), f"The label {fault}.")
    for key in metadata.annotations:
        if fault := qualified_name_fault(key.lower()):
            yield Finding(codes.INVALID_VALUE, ("metadata", "annotations", key), f"The annotation {fault}.")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.annotations.items())
    if size > _ANNOTATIONS_LIMIT:
        message = f"All annotations together have {size} bytes; {_ANNOTATIONS_LIMIT} are allowed."
        yield Finding(codes.INVALID_VALUE, ("metadata", "annotations"), message)

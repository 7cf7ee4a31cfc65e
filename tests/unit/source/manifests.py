"""Manifests for tests, as people write them."""

from __future__ import annotations

from collections.abc import Iterable

from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.source.decode import Decoded, decode
from nodegate.source.documents import Document, Failure, read_documents

SEED = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: basic-ingress, namespace: default}
spec:
  ingressClassName: nodegate
  rules:
  - http:
      paths:
      - {path: /details, pathType: Prefix, backend: {service: {name: details, port: {number: 9080}}}}
      - {path: /, pathType: Prefix, backend: {service: {name: productpage, port: {number: 9080}}}}
"""

TLS_SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: shop-tls}
type: kubernetes.io/tls
data:
  tls.crt: Y2VydA==
  tls.key: a2V5
"""


def service(name: str, port: int = 80, namespace: str = "default") -> str:
    """Return the manifest of a Service."""
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
spec:
  ports:
  - port: {port}
"""


def documents(text: str | bytes, *, is_json: bool = False) -> tuple[Document, ...]:
    """Return the documents of a text that must be readable."""
    read = read_documents(text if isinstance(text, bytes) else text.encode(), is_json=is_json)
    assert not isinstance(read, Failure), read
    return read


def failure(text: str | bytes, *, is_json: bool = False) -> Failure:
    """Return why a text is not readable."""
    read = read_documents(text if isinstance(text, bytes) else text.encode(), is_json=is_json)
    assert isinstance(read, Failure), read
    return read


def values(text: str | bytes) -> list[object]:
    """Return the values of the documents in a text."""
    return [document.value for document in documents(text)]


def decoded(text: str | bytes) -> list[Decoded]:
    """Return what the objects in a text came to."""
    return [one for document in documents(text) for one in decode(document.value, document.findings)]


def only(text: str | bytes) -> Object:
    """Return the one object of a text, which must be good."""
    (one,) = decoded(text)
    assert one.object is not None, one.findings
    assert not one.findings, one.findings
    return one.object


def faults(text: str | bytes) -> list[tuple[str, str]]:
    """Return code and field of everything wrong with the one object of a text."""
    (one,) = decoded(text)
    return [(problem.code, problem.field) for problem in problems_of(one)]


def problems_of(one: Decoded) -> list[Problem]:
    """Return what is wrong with a decoded object, as problems; it must have an identity."""
    assert one.ref is not None, one.findings
    return [finding.problem(one.ref, "f:1") for finding in one.findings]


def messages(problems: Iterable[Problem]) -> str:
    """Return all a person gets to read of problems."""
    return "\n".join(str(problem) for problem in problems)

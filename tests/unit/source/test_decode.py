"""Documents become objects of the model, each with everything that is wrong with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.objects import EndpointSlice, Ingress, Namespace, Node, Secret, Service
from nodegate.model.refs import Kind, Ref
from nodegate.source.decode import MOST_FINDINGS, decode, decode_json
from nodegate.source.kinds import SERVED
from tests.unit.source.manifests import (
    SEED,
    TLS_SECRET,
    decoded,
    documents,
    faults,
    messages,
    only,
    problems_of,
    service,
)

PEM_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


def test_the_seed_ingress_decodes_to_what_it_says() -> None:
    found = only(SEED)
    assert isinstance(found, Ingress)
    assert found.ref == Ref(Kind.INGRESS, "default", "basic-ingress")
    assert found.spec.ingress_class_name == "nodegate"
    assert [(path.path, path.path_type) for path in found.spec.rules[0].http.paths] == [  # type: ignore[union-attr]
        ("/details", "Prefix"),
        ("/", "Prefix"),
    ]


def test_every_kind_nodegate_reads_decodes() -> None:
    text = "\n---\n".join(
        [
            SEED,
            "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: n}, spec: {controller: a.b/c}}",
            service("shop"),
            "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s}, addressType: IPv4}",
            TLS_SECRET,
            "{apiVersion: v1, kind: Namespace, metadata: {name: n}, status: {phase: Terminating}}",
            "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{address: '::1'}]}}",
        ]
    )
    found = [one.object for one in decoded(text)]
    assert {type(one) for one in found} == {served.type for served in SERVED.values()}
    assert isinstance(found[5], Namespace)
    assert found[5].status.phase == "Terminating"
    assert isinstance(found[6], Node)
    assert found[6].status.addresses[0].address == "::1"


def test_an_object_without_namespace_is_in_the_default_one() -> None:
    assert only(TLS_SECRET).ref.namespace == "default"


def test_an_object_of_the_cluster_has_no_namespace_even_when_it_says_one() -> None:
    text = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, namespace: other}}"
    assert only(text).ref == Ref(Kind.NAMESPACE, "", "shop")
    assert only(text).metadata.namespace == ""


def test_times_and_null_lists_are_read_as_the_api_writes_them() -> None:
    text = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s, creationTimestamp: 2026-01-31T12:00:00Z, labels: null}
addressType: IPv4
endpoints: null
ports: null
"""
    found = only(text)
    assert isinstance(found, EndpointSlice)
    assert found.metadata.creation_timestamp == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert found.endpoints == ()
    assert found.ports == ()


def test_objects_of_other_kinds_are_passed_over() -> None:
    """A folder may hold a whole application."""
    text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {a: 1, a: 2}}\n---\n" + SEED
    assert len(decoded(text)) == 1


def test_a_kind_of_somebody_else_with_a_known_name_is_passed_over() -> None:
    assert decoded("{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: x}}") == []
    assert decoded("{apiVersion: config.openshift.io/v1, kind: Ingress, metadata: {name: x}}") == []


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("extensions/v1beta1", "Ingress"),
        ("networking.k8s.io/v1beta1", "Ingress"),
        ("networking.k8s.io/v1beta1", "IngressClass"),
        ("discovery.k8s.io/v1beta1", "EndpointSlice"),
        ("v1", "Ingress"),
        ("apps/v1", "Service"),
        ("core/v1", "Secret"),
        ("extensions/v1beta1", "IngressList"),
    ],
)
def test_a_known_kind_with_a_version_kubernetes_does_not_serve_is_a_problem(api_version: str, kind: str) -> None:
    (one,) = decoded(f"{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x}}, items: []}}")
    assert one.object is None
    assert [finding.code.code for finding in one.findings] == ["UnsupportedVersion"]
    assert SERVED[kind.removesuffix("List")].api_version in one.findings[0].message
    if kind != "IngressList":
        assert one.ref is not None
        assert one.ref.name == "x"


def test_an_old_ingress_is_told_what_became_of_its_fields() -> None:
    (one,) = decoded("{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: x}}")
    assert "serviceName" in one.findings[0].remedy


@pytest.mark.parametrize(
    "text", ["[1, 2]", "just words", "42", "a: 1", "{apiVersion: v1}", "{kind: Service}", "{apiVersion: v1, kind: 5}"]
)
def test_a_document_that_is_no_object_is_a_problem_of_its_file(text: str) -> None:
    (one,) = decoded(text)
    assert one.ref is None
    assert one.object is None
    assert [finding.code.code for finding in one.findings] == ["NotAnObject"]


@pytest.mark.parametrize(
    "metadata",
    [
        *("{}", "{name: ''}", "{name: Shop}", "{name: -a}", "{name: a_b}", "{name: 5}", "{generateName: a-}", "5"),
        *("{name: " + "a" * 254 + "}", "{name: a, namespace: A.b}", "{name: a, namespace: 5}", "{name: a/b}"),
    ],
)
def test_an_object_without_a_proper_name_cannot_be_told_from_others(metadata: str) -> None:
    (one,) = decoded(f"{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {metadata}}}")
    assert one.ref is None
    assert one.object is None
    assert one.findings


def test_the_name_of_a_service_is_one_label() -> None:
    """An Ingress may be called a.b (RFC 1123 subdomain), a Service may not (RFC 1123 label)."""
    (one,) = decoded("{apiVersion: v1, kind: Service, metadata: {name: a.b}}")
    assert [finding.code.code for finding in one.findings] == ["InvalidName"]
    assert decoded("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a.b}}")[0].ref is not None


# --- Lists -------------------------------------------------------------------------------------------------------


def test_the_items_of_a_list_are_objects_of_their_own() -> None:
    items = [json.loads(json.dumps(value)) for value in ({"apiVersion": "v1", "kind": "Namespace"},) * 2]
    for index, item in enumerate(items):
        item["metadata"] = {"name": f"n{index}"}
    found = decoded(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert [one.ref.name for one in found if one.ref] == ["n0", "n1"]
    assert [one.path for one in found] == [("items", 0), ("items", 1)]


def test_the_items_of_a_typed_list_need_no_kind() -> None:
    """API servers leave apiVersion and kind out of the items of a typed list."""
    text = "{apiVersion: v1, kind: NamespaceList, metadata: {}, items: [{metadata: {name: a}}, {metadata: {name: b}}]}"
    assert [one.ref for one in decoded(text)] == [Ref(Kind.NAMESPACE, "", "a"), Ref(Kind.NAMESPACE, "", "b")]


def test_what_is_wrong_in_a_list_belongs_to_its_item() -> None:
    text = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: a, name: b}}
- {apiVersion: v1, kind: Namespace, metadata: {name: c}}
"""
    first, second = decoded(text)
    assert first.object is None
    assert [finding.path for finding in first.findings] == [("metadata", "name")]
    assert second.object is not None


def test_a_fault_of_the_list_itself_is_no_fault_of_its_items() -> None:
    text = "{apiVersion: v1, kind: List, kind: List, items: [{apiVersion: v1, kind: Namespace, metadata: {name: c}}]}"
    whole, item = decoded(text)
    assert whole.ref is None
    assert item.object is not None


@pytest.mark.parametrize("items", ["5", "{}", "[5]", "[[1]]"])
def test_items_that_are_no_objects_are_problems(items: str) -> None:
    (one,) = decoded(f"{{apiVersion: v1, kind: List, items: {items}}}")
    assert one.object is None
    assert one.findings


def test_lists_in_lists_end_somewhere() -> None:
    text = '{"apiVersion": "v1", "kind": "List", "items": [' * 300 + "]}" * 300
    (one,) = decoded(text)
    assert [finding.code.code for finding in one.findings] == ["DocumentTooComplex"]


# --- Types -------------------------------------------------------------------------------------------------------


def test_every_value_of_a_wrong_type_is_named_not_only_the_first() -> None:
    text = """
apiVersion: v1
kind: Service
metadata: {name: x, labels: {version: 1}, annotations: [a]}
spec:
  type: true
  ports:
  - {port: "80"}
  - {port: 81, name: 5}
  - 7
  selector: x
"""
    assert sorted(faults(text)) == [
        ("InvalidType", "metadata.annotations"),
        ("InvalidType", "metadata.labels.version"),
        ("InvalidType", "spec.ports[0].port"),
        ("InvalidType", "spec.ports[1].name"),
        ("InvalidType", "spec.ports[2]"),
        ("InvalidType", "spec.selector"),
        ("InvalidType", "spec.type"),
    ]


def test_a_number_in_quotes_and_a_text_without_are_told_apart_in_the_remedy() -> None:
    (one,) = decoded(
        "{apiVersion: v1, kind: Service, metadata: {name: x, labels: {v: yes}}, spec: {ports: [{port: '80'}]}}"
    )
    remedies = {problem.field: problem.remedy for problem in problems_of(one)}
    assert remedies == {"metadata.labels.v": "Put the value in quotes.", "spec.ports[0].port": "Remove the quotes."}


def test_a_missing_field_is_named() -> None:
    text = (
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: x}, spec: {rules: [{http: {paths: [{}]}}]}}"
    )
    assert sorted(faults(text)) == [
        ("MissingField", "spec.rules[0].http.paths[0].backend"),
        ("MissingField", "spec.rules[0].http.paths[0].pathType"),
    ]
    assert faults("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: x}}") == [
        ("MissingField", "addressType")
    ]


def test_a_field_the_api_does_not_have_is_a_warning_and_the_object_is_used() -> None:
    text = SEED.replace("ingressClassName", "ingressclassname")
    (one,) = decoded(text)
    assert one.object is not None
    assert faults(text) == [("UnknownField", "spec.ingressclassname")]
    assert "ingressClassName" in messages(problems_of(one))


def test_fields_nodegate_does_not_read_are_no_unknown_ones() -> None:
    text = """
apiVersion: v1
kind: Service
metadata:
  name: x
  finalizers: [a]
  managedFields: [{manager: k}]
  ownerReferences: [{apiVersion: v1, kind: A, name: b}]
spec:
  clusterIP: 10.0.0.1
  clusterIPs: [10.0.0.1]
  externalIPs: [192.0.2.1]
  ipFamilyPolicy: SingleStack
  loadBalancerIP: 192.0.2.2
  healthCheckNodePort: 30000
  ports: [{port: 80, targetPort: http, nodePort: 30001}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.2, ipMode: VIP, ports: [{port: 80}]}]}, conditions: []}
"""
    assert isinstance(only(text), Service)


def test_a_hopeless_object_is_not_told_everything() -> None:
    labels = ", ".join(f"l{n}: {n}" for n in range(200))
    (one,) = decoded(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: x, labels: {{{labels}}}}}, a: 1, b: 2}}")
    assert len(one.findings) == MOST_FINDINGS + 1
    assert "177 more" in one.findings[-1].message
    assert one.object is None


def test_errors_are_told_before_warnings_when_not_all_are_told() -> None:
    unknown = ", ".join(f"u{n}: 1" for n in range(50))
    (one,) = decoded(f"{{apiVersion: v1, kind: Namespace, {unknown}, metadata: {{name: x}}, status: 5}}")
    assert one.object is None
    assert one.findings[0].code.code == "InvalidType"


def test_a_document_with_a_key_twice_is_no_object() -> None:
    """Which of the two values was meant cannot be told."""
    assert faults("{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{port: 80, port: 81}]}}") == [
        ("DuplicateKey", "spec.ports[0].port")
    ]


# --- Secrets -----------------------------------------------------------------------------------------------------


def test_a_tls_secret_is_decoded_from_base64() -> None:
    found = only(TLS_SECRET)
    assert isinstance(found, Secret)
    assert found.data == {"tls.crt": b"cert", "tls.key": b"key"}


def test_base64_may_be_broken_into_lines() -> None:
    """Go's decoder, and so the API server, ignores line ends in base64."""
    found = only(TLS_SECRET.replace("Y2VydA==", "|\n    Y2Vy\n    dA==\n"))
    assert isinstance(found, Secret)
    assert found.data["tls.crt"] == b"cert"


def test_string_data_goes_over_data() -> None:
    found = only(TLS_SECRET + "stringData: {tls.key: other, more: 'ä'}\n")
    assert isinstance(found, Secret)
    assert found.data == {"tls.crt": b"cert", "tls.key": b"other", "more": "ä".encode()}


@pytest.mark.parametrize("kind", ["Opaque", "kubernetes.io/dockerconfigjson", "", None])
def test_secrets_of_other_types_are_not_even_read(kind: str | None) -> None:
    """Nodegate holds no secret it does not need."""
    line = f"type: {kind!r}\n" if kind is not None else ""
    assert decoded(TLS_SECRET.replace("type: kubernetes.io/tls\n", line)) == []


def test_a_tls_secret_must_have_both_keys() -> None:
    text = TLS_SECRET.replace("  tls.key: a2V5\n", "")
    assert faults(text) == [("MissingField", "data[tls.key]")]


@pytest.mark.parametrize(
    "data",
    [
        f"{{tls.crt: Y2VydA==, tls.key: '{PEM_LINE}!'}}",
        f"{{tls.crt: Y2VydA==, tls.key: [{PEM_LINE}]}}",
        f"{{tls.crt: Y2VydA==, {PEM_LINE}: 5}}",
        f"[{PEM_LINE}]",
        PEM_LINE,
    ],
)
def test_nothing_of_a_private_key_gets_into_a_message(data: str) -> None:
    (one,) = decoded(f"{{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {{name: x}}, data: {data}}}")
    assert one.object is None
    assert PEM_LINE not in messages(problems_of(one))


def test_string_data_of_a_wrong_type_is_named_where_it_is_written() -> None:
    assert faults(TLS_SECRET + "stringData: {more: 5}\n") == [("InvalidType", "stringData.more")]
    assert faults(TLS_SECRET + "stringData: 5\n") == [("InvalidType", "stringData")]


def test_kubectls_copy_of_the_object_is_left_out() -> None:
    """`kubectl apply` keeps what it was given in an annotation: of a Secret, that is the private key once more."""
    annotations = "annotations: {a: b, kubectl.kubernetes.io/last-applied-configuration: key}"
    assert only(TLS_SECRET.replace("name: shop-tls", f"name: shop-tls, {annotations}")).metadata.annotations == {
        "a": "b"
    }
    raw = b'{"metadata":{"name":"s","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"key"}}}'
    assert decode_json(raw, Secret).metadata.annotations == {}


# --- The API's JSON ----------------------------------------------------------------------------------------------


def test_the_apis_json_decodes_with_and_without_null_lists() -> None:
    """`endpoints` has no omitempty in the API: an empty slice is sent as null."""
    raw = b'{"metadata":{"name":"s","namespace":"n"},"addressType":"IPv6","endpoints":null,"ports":null}'
    found = decode_json(raw, EndpointSlice)
    assert found.address_type == "IPv6"
    assert found.endpoints == ()
    assert decode_json(raw.replace(b"null", b"[]"), EndpointSlice) == found


def test_json_that_does_not_fit_is_an_error_of_msgspec() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_json(b'{"metadata":{"name":"s"},"endpoints":5}', EndpointSlice)
    with pytest.raises(msgspec.DecodeError):
        decode_json(b"Unauthorized", EndpointSlice)


# --- Anything ----------------------------------------------------------------------------------------------------

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _places(value: object, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    return [prefix, *(path for step, inner in below for path in _places(inner, (*prefix, step)))]


def _with(value: object, path: tuple[str | int, ...], new: object) -> object:
    if not path:
        return new
    step, *rest = path
    items = enumerate(value) if isinstance(value, list) else value.items()  # type: ignore[attr-defined]
    changed = {key: _with(inner, tuple(rest), new) if key == step else inner for key, inner in items}
    return list(changed.values()) if isinstance(value, list) else changed


_GOOD = [
    *(document.value for text in (SEED, TLS_SECRET, service("shop")) for document in documents(text)),
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "shop"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": "n"}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    },
]


@given(st.data())
def test_a_good_object_with_anything_anywhere_is_an_object_or_has_findings(data: st.DataObject) -> None:
    """No value in any place raises, and what is not decoded says why."""
    good = data.draw(st.sampled_from(_GOOD))
    changed = _with(good, data.draw(st.sampled_from(_places(good))), data.draw(_ANY))
    for one in decode(changed):
        assert one.object is not None or any(finding.spoils for finding in one.findings)
        if one.ref is not None:
            assert all(problem.message.endswith(".") for problem in problems_of(one))

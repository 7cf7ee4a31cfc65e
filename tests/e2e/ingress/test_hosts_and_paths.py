"""Which request goes where: hosts, paths and their precedence, as a real Envoy serves them."""

from __future__ import annotations

import pytest

from nodegate.model.objects import HTTPIngressPath, HTTPIngressRuleValue, IngressRule
from nodegate.translate.settings import EscapedSlashes, Settings
from tests.e2e.ingress.conftest import MakeEcho
from tests.e2e.ingress.gateway import Gateway
from tests.unit.translate.objects import backend, ingress, rule, service


def one_of(
    gateway: Gateway, echo: MakeEcho, *rules: IngressRule, default: str = "", settings: Settings | None = None
) -> None:
    """Serve one Ingress ``web`` whose backends are all Services that its rules name, each answering with its name."""
    names = {path.backend.service.name for r in rules if r.http for path in r.http.paths if path.backend.service}
    if default:
        names.add(default.partition(":")[0])
    slices = [echo(name).slice(name) for name in sorted(names)]
    gateway.serve(
        ingress("web", *rules, default=default), *(service(name) for name in names), *slices, settings=settings
    )


def test_hosts(gateway: Gateway, echo: MakeEcho) -> None:
    """A host is compared in any case, with any port and a trailing dot (ingress.md 2, 45)."""
    one_of(gateway, echo, rule({"/": "exact:80"}, "www.foo.com"), rule({"/": "any:80"}))
    for host in ("www.foo.com", "WWW.Foo.Com", "www.foo.com:8080", "www.foo.com.", "www.foo.com.:81"):
        assert gateway.get(host=host).by == "exact", host
    for host in ("foo.com", "www.foo.com.evil.example", "10.0.0.1", "xwww.foo.com"):
        assert gateway.get(host=host).by == "any", host  # a rule without host matches every other (ingress.md 1)


def test_wildcards_match_one_label(gateway: Gateway, echo: MakeEcho) -> None:
    """``*.foo.com`` is one label; an exact host wins; what misses reaches the host-less rule (ingress.md 3, 4, 5)."""
    one_of(
        gateway,
        echo,
        rule({"/": "wild:80"}, "*.foo.com"),
        rule({"/": "deep:80"}, "*.bar.foo.com"),
        rule({"/": "exact:80"}, "x.foo.com"),
        rule({"/": "any:80"}),
    )
    cases = {
        "bar.foo.com": "wild",
        "BAR.foo.COM:8080": "wild",
        "bar.foo.com.": "wild",
        "x.foo.com": "exact",
        "a.bar.foo.com": "deep",
        "a.x.foo.com": "any",
        "a.b.bar.foo.com": "any",
        "foo.com": "any",
        "barfoo.com": "any",
    }
    assert {host: gateway.get(host=host).by for host in cases} == cases


def test_unmatched_paths_of_a_known_host_reach_the_default_backend(gateway: Gateway, echo: MakeEcho) -> None:
    """``defaultBackend`` serves what no host *or* path matches (ingress.md 6, 31)."""
    one_of(gateway, echo, rule({"/a": "app:80"}, "foo.com"), IngressRule("empty.com", None), default="rest:80")
    assert gateway.get("/a", "foo.com").by == "app"
    assert gateway.get("/b", "foo.com").by == "rest"
    assert gateway.get("/b", "empty.com").by == "rest"
    assert gateway.get("/b", "other.com").by == "rest"


def test_nothing_matches(gateway: Gateway, echo: MakeEcho) -> None:
    """Without a default backend, what matches nothing is a 404 (ingress.md 6)."""
    one_of(gateway, echo, rule({"/a": "app:80"}, "foo.com"))
    assert gateway.get("/b", "foo.com").status == 404
    assert gateway.get("/a", "bar.com").status == 404
    assert gateway.get("/a", "").status in {400, 404}  # no Host at all (ingress.md 45)


def test_a_default_backend_of_the_operator(gateway: Gateway, echo: MakeEcho) -> None:
    """A default backend of who runs nodegate answers what nothing else does (ingress.md 6)."""
    rest = echo("rest")
    settings = Settings(default_backend=("default", "rest", "80"))
    web = ingress("web", rule({"/a": "app:80"}, "foo.com"))
    gateway.serve(web, service("app"), service("rest"), echo("app").slice("app"), rest.slice("rest"), settings=settings)
    assert gateway.get("/a", "foo.com").by == "app"
    assert gateway.get("/b", "foo.com").by == "rest"
    assert gateway.get("/a", "bar.com").by == "rest"


@pytest.mark.parametrize(
    ("paths", "cases"),
    [
        # The table of the Kubernetes documentation, "Examples" of path types.
        ({"/": "yes:80"}, {"/": "yes", "/foo": "yes", "/foo?x=1": "yes"}),
        ({"=/foo": "yes:80"}, {"/foo": "yes", "/bar": "404", "/foo/": "404", "/FOO": "404", "/foo?x=/bar": "yes"}),
        ({"=/foo/": "yes:80"}, {"/foo": "404", "/foo/": "yes"}),
        ({"/foo": "yes:80"}, {"/foo": "yes", "/foo/": "yes", "/foobar": "404", "/foo?a=b": "yes"}),
        ({"/foo/": "yes:80"}, {"/foo": "yes", "/foo/": "yes", "/foo/bar": "yes"}),
        ({"/aaa/bb": "yes:80"}, {"/aaa/bbb": "404"}),
        ({"/aaa/bbb": "yes:80"}, {"/aaa/bbb": "yes", "/aaa/bbb/": "yes", "/aaa/bbb/ccc": "yes", "/aaa/bbbxyz": "404"}),
        ({"/": "r:80", "/aaa": "a:80"}, {"/aaa/ccc": "a", "/ccc": "r"}),
        ({"/": "r:80", "/aaa": "a:80", "/aaa/bbb": "b:80"}, {"/aaa/bbb": "b", "/aaa/bbx": "a", "/ccc": "r"}),
        ({"/foo": "prefix:80", "=/foo": "exact:80"}, {"/foo": "exact", "/foo/": "prefix", "/foo/x": "prefix"}),
        ({"/foo/": "prefix:80", "=/foo": "exact:80"}, {"/foo": "exact", "/foo/": "prefix"}),
    ],
)  # fmt: skip
def test_paths(gateway: Gateway, echo: MakeEcho, paths: dict[str, str], cases: dict[str, str]) -> None:
    """Exact is byte for byte, Prefix element by element, the longest wins, Exact first (ingress.md 7, 8, 9, 11, 14)."""
    one_of(gateway, echo, rule(paths))
    assert {path: gateway.get(path).by for path in cases} == cases


def test_implementation_specific_paths_are_prefixes(gateway: Gateway, echo: MakeEcho) -> None:
    """``ImplementationSpecific`` is the same as ``Prefix``, and may be empty (ingress.md 9, 10)."""
    paths = tuple(HTTPIngressPath("ImplementationSpecific", backend(to), p) for p, to in (("/a", "a:80"), ("", "r:80")))
    one_of(gateway, echo, IngressRule("", HTTPIngressRuleValue(paths)))
    assert [gateway.get(path).by for path in ("/a", "/a/b", "/ab", "/")] == ["a", "a", "r", "r"]


def test_regular_expressions_by_annotation(gateway: Gateway, echo: MakeEcho) -> None:
    """An annotation makes them expressions; they come after Exact and before Prefix (ingress.md 10, 12)."""
    specific = HTTPIngressPath("ImplementationSpecific", backend("regex:80"), "/v[0-9]+/.*")
    rules = (
        IngressRule("", HTTPIngressRuleValue((specific,))),
        rule({"/v1/users": "prefix:80", "=/v1/me": "exact:80"}),
    )
    services = ("regex", "prefix", "exact")
    slices = [echo(name).slice(name) for name in services]
    gateway.serve(ingress("web", *rules, path_regex="full"), *map(service, services), *slices)
    cases = {"/v1/users": "regex", "/v1/me": "exact", "/v1": "404", "/v12/x?y": "regex", "/x/v1/y": "404"}
    assert {path: gateway.get(path).by for path in cases} == cases


def test_regular_expressions_of_a_beginning(gateway: Gateway, echo: MakeEcho) -> None:
    """``path-regex: prefix`` compares with the beginning of a path (ingress.md 10)."""
    specific = HTTPIngressPath("ImplementationSpecific", backend("app:80"), "/v[0-9]+/")
    web = ingress("web", IngressRule("", HTTPIngressRuleValue((specific,))), path_regex="prefix")
    gateway.serve(web, service("app"), echo("app").slice("app"))
    cases = {"/v1/": "app", "/v12/users/me": "app", "/v1": "404", "/x/v1/": "404"}
    assert {path: gateway.get(path).by for path in cases} == cases


def test_paths_are_normalised_before_they_are_compared(gateway: Gateway, echo: MakeEcho) -> None:
    """Dot segments are gone before routes are tried, and ``%2F`` is refused, not guessed at (ingress.md 13)."""
    one_of(gateway, echo, rule({"/admin": "admin:80", "/": "public:80"}))
    assert gateway.get("/public/../admin").by == "admin"
    assert gateway.get("/public/..%2Fadmin").status == 400
    assert gateway.get("//admin").by == "public"  # slashes are not merged


def test_escaped_slashes_can_be_kept(gateway: Gateway, echo: MakeEcho) -> None:
    """Applications that need ``%2F`` in paths can have it (ingress.md 13)."""
    one_of(gateway, echo, rule({"/": "app:80"}), settings=Settings(escaped_slashes=EscapedSlashes.KEEP))
    assert gateway.get("/queues/%2F/x").seen["path"] == "/queues/%2F/x"

"""How values that people write are read: hosts, quantities, lists, expressions."""

from __future__ import annotations

import re

import pytest
import re2

from nodegate.translate.annotation_values import affinity, networks, origins, rate, redirect_target, splits
from nodegate.translate.annotations import INGRESS_ANNOTATIONS, SERVICE_ANNOTATIONS, Annotation
from nodegate.translate.hosts import covers, host_fault, one_label_regex, wildcards_over
from nodegate.translate.options import Affinity, ClusterOptions, RateLimit, RedirectTo, RouteOptions
from nodegate.translate.quantities import UnreadableError, duration, number, size, truth
from nodegate.translate.regexes import LARGEST_PROGRAM, regex_fault


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("30s", 30), ("1m30s", 90), ("250ms", 0.25), ("1.5s", 1.5), ("2h", 7200)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "-1s", "s", "1d", "1 s", "1s1", "9999999h", "1e3s", "٣s", "nan"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UnreadableError):
        duration(text)


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("8Mi", 8 << 20), ("500k", 500_000), ("1Gi", 1 << 30)])
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5Mi", "1Ti", "4Gi", "99999999999999999999", "k"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UnreadableError):
        size(text)


@pytest.mark.parametrize("text", ["", "yes", "1", "truee"])
def test_what_is_neither_true_nor_false(text: str) -> None:
    with pytest.raises(UnreadableError):
        truth(text)


@pytest.mark.parametrize("text", ["", "-1", "11", "1.0", "0x1", "1" * 30, "²"])
def test_what_is_no_number_of_retries(text: str) -> None:
    with pytest.raises(UnreadableError):
        number(text, 0, 10)


def test_lists_and_pairs() -> None:
    """What is not a plain number or word."""
    assert networks("10.1.2.3/8, 2001:db8::1 10.0.0.0/8") == ("10.0.0.0/8", "2001:db8::1/128")
    assert rate("600/m") == RateLimit(600, 60)
    assert affinity("cookie:sid") == Affinity("cookie", "sid")
    assert redirect_target("http://a.example:81/x") == RedirectTo("http", "a.example", 81, "/x")
    assert splits("a=b:10 a=c:20,d=e:100") == {"a": (("a", 70), ("b", 10), ("c", 20)), "d": (("d", 0), ("e", 100))}
    assert origins("https://a.example *") == ("https://a.example", "*")


@pytest.mark.parametrize("annotation", [*INGRESS_ANNOTATIONS, *SERVICE_ANNOTATIONS], ids=lambda a: a.name)
def test_the_example_of_every_annotation_can_be_read(annotation: Annotation) -> None:
    """What ``docs/annotations.md`` shows works."""
    options: RouteOptions | ClusterOptions = RouteOptions() if annotation in INGRESS_ANNOTATIONS else ClusterOptions()
    annotation.read(options, annotation.example)


@pytest.mark.parametrize("host", ["a", "a-b.example", "*.a", "1.example", "xn--mnchen-3ya.example"])
def test_hosts(host: str) -> None:
    assert host_fault(host) == ""


@pytest.mark.parametrize(
    "host", ["", "*", "a.*", "*a.b", "a:80", "A", "-a", "a-", "a..b", "a.", "1.2.3.4", "a_b", "*." * 3]
)
def test_what_is_no_host(host: str) -> None:
    assert host in host_fault(host)


def test_wildcards_over_a_host() -> None:
    """The longest comes first, and a host is not over itself (ingress.md 4)."""
    assert wildcards_over("a.b.c") == ["*.b.c", "*.c"]
    assert wildcards_over("*.b.c") == ["*.c"]
    assert wildcards_over("a") == []
    assert covers("*.c", "a.b.c")
    assert not covers("*.c", "c")
    assert not covers("*.c", "*.c")


@pytest.mark.parametrize(
    ("authority", "matches"),
    [("x.b.c", True), ("X.B.C:8080", True), ("x.y.b.c", False), ("b.c", False), (".b.c", False), ("x.b.c.", False)],
)
def test_one_label(authority: str, *, matches: bool) -> None:
    """Together with Envoy's comparison of the end of a host, this is exactly one label (ingress.md 3)."""
    assert bool(re.fullmatch(one_label_regex("*.b.c"), authority)) == matches


def test_every_wildcard_that_is_served_fits_into_envoys_limit() -> None:
    """Of any number of labels and any length (ingress.md 3)."""
    for labels in range(1, 126):
        host = "*." + ".".join(["a"] * labels)
        program = re2.compile(one_label_regex(host)).programsize
        assert bool(host_fault(host)) == (program > LARGEST_PROGRAM)


@pytest.mark.parametrize("pattern", ["(", "/[z-a]", "/a**", "(?P<n", "\\8", "/(?=x)", "/" + "x" * 100, "/é", "a{1001}"])
def test_expressions_that_envoy_refuses(pattern: str) -> None:
    """They are found before Envoy finds them (ingress.md 10)."""
    assert regex_fault(pattern).endswith(".")

"""The command line, as a person or a script uses it."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import structlog
import yaml
from click.testing import CliRunner, Result

from nodegate import __version__
from nodegate.cli import main
from nodegate.cli.root import COMMANDS

GOOD = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  ingressClassName: nodegate
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1]}]
ports: [{name: "", port: 8080, protocol: TCP}]
"""


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Commands set up the logging of their process, which here is that of all tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    made.mkdir()
    (made / "web.yaml").write_text(GOOD)
    return made


def run(*words: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], env=env, catch_exceptions=False)


# --- nodegate -------------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_both_spellings_work() -> None:
    """``-h`` is what people type."""
    text = run("--help").output
    assert text == run("-h").output
    for name, (_, line) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """It starts with how the command is used."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: main {command}")


def test_the_version_is_that_of_the_package() -> None:
    """For bug reports."""
    assert run("--version").output == f"nodegate {__version__}\n"


def test_help_imports_nothing_that_takes_time() -> None:
    """Completion runs the program at every press of the tab key."""
    code = (
        "import sys; from nodegate.cli import main; main(['--help'], standalone_mode=False); "
        "heavy = {'grpc', 'google.protobuf', 'aiohttp', 'envoy', 'yaml', 'structlog', 'cryptography'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["serve", "bootstrap"])
def test_every_flag_is_an_environment_variable(command: str) -> None:
    """``--xds-address`` is ``NODEGATE_XDS_ADDRESS`` (DESIGN 7)."""
    context = click.Context(main)
    found = main.get_command(context, command)
    assert found is not None
    for option in found.params:
        name = option.opts[-1]
        if name not in {"--output", "--help"}:
            assert option.envvar == "NODEGATE_" + name.removeprefix("--").replace("-", "_").upper()


def test_a_flag_wins_over_its_environment_variable() -> None:
    """As everywhere."""
    env = {"NODEGATE_NODE_NAME": "from-environment", "NODEGATE_ZONE": "z"}
    made = yaml.safe_load(run("bootstrap", "--node-name", "from-flag", env=env).output)
    assert made["node"]["id"] == "from-flag"
    assert made["node"]["locality"]["zone"] == "z"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    """To be sourced."""
    assert "_NODEGATE_COMPLETE" in run("completion", shell).output


def test_completion_completes() -> None:
    """The script asks the program itself."""
    env = {"_NODEGATE_COMPLETE": "bash_complete", "COMP_WORDS": "nodegate tr", "COMP_CWORD": "1"}
    done = CliRunner().invoke(main, [], prog_name="nodegate", env=env)
    assert done.output == "plain,translate\n"


# --- translate ------------------------------------------------------------------------------------------------------


def test_translate_prints_the_snapshot_by_type_and_name(folder: Path) -> None:
    """YAML by default, JSON with the same content."""
    snapshot = yaml.safe_load(run("translate", folder).stdout)
    assert list(snapshot) == ["cluster", "endpoint", "listener", "route"]
    assert list(snapshot["cluster"]) == ["shop/web/80"]
    assert json.loads(run("translate", folder, "-o", "json").stdout) == snapshot


def test_translate_shows_what_a_given_proxy_would_get(folder: Path) -> None:
    """Listeners are transparent for proxies that may have them so (DESIGN 2.2)."""
    for flags, transparent in (((), False), (("--redirect",), True)):
        (listener,) = yaml.safe_load(run("translate", folder, *flags).stdout)["listener"].values()
        assert listener.get("transparent", False) is transparent


def test_translate_static_is_one_whole_configuration(folder: Path) -> None:
    """It needs no control plane."""
    static = yaml.safe_load(run("translate", folder, "--static").stdout)["static_resources"]
    assert [cluster["name"] for cluster in static["clusters"]] == ["shop/web/80"]
    assert "ads" not in str(static)


def test_translate_says_problems_on_standard_error_and_succeeds(folder: Path) -> None:
    """What it prints is what would be served in spite of them; the verdict is lint's."""
    (folder / "bad.yaml").write_text(
        GOOD.replace("name: web, namespace", "name: lost, namespace").replace("name: web,", "name: nowhere,")
    )
    (folder / "worse.yaml").write_text("kind: [")
    result = run("translate", folder)
    assert result.exit_code == 0
    assert "worse.yaml:1" in result.stderr
    assert "worse.yaml" not in result.stdout
    assert yaml.safe_load(result.stdout)["cluster"]


# --- lint -----------------------------------------------------------------------------------------------------------


def test_lint_of_good_manifests_succeeds(folder: Path) -> None:
    """And says what it looked at."""
    result = run("lint", folder)
    assert (result.exit_code, result.stdout) == (0, "No problems in 3 objects.\n")


def test_lint_of_wrong_manifests_names_file_line_object_and_field_and_fails(folder: Path) -> None:
    """Exit status 1 when there is an error."""
    (folder / "bad.yaml").write_text(
        GOOD.replace("pathType: Prefix", "pathType: Suffix").replace("name: web", "name: b")
    )
    result = run("lint", folder)
    assert result.exit_code == 1
    assert "bad.yaml:" in result.stdout
    assert "Ingress shop/b spec.rules[0].http.paths[0].pathType" in result.stdout
    assert re.search(r"^1 error in \d+ objects\.$", result.stdout, re.MULTILINE)
    (problem,) = json.loads(run("lint", folder, "-o", "json").stdout)
    assert (problem["kind"], problem["name"], problem["severity"]) == ("Ingress", "b", "error")


@pytest.mark.parametrize("command", ["lint", "translate"])
def test_a_problem_is_printed_once(folder: Path, command: str) -> None:
    """As the line that names it, and not as a line of a log besides."""
    (folder / "bad.yaml").write_text(
        GOOD.replace("name: web, namespace", "name: lost, namespace").replace("name: web,", "name: nowhere,")
    )
    call = [sys.executable, "-m", "nodegate", command, str(folder)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr).count("[ServiceNotFound]") == 1


def test_lint_finds_what_only_translation_can_know(folder: Path) -> None:
    """A Service that does not exist is found by looking at all objects together."""
    (folder / "web.yaml").write_text(GOOD.partition("---")[0])
    result = run("lint", folder)
    assert "Service shop/web" in result.stdout or "web" in result.stdout
    assert "[" in result.stdout


ODD = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: odd, namespace: shop}
spec:
  ingressClassName: nodegate
  rules:
    - host: odd.example
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: gone
                port: {number: 80}
"""
LISTED = """\
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Namespace
    metadata: {name: shop}
  - apiVersion: networking.k8s.io/v1
    kind: Ingress
    metadata:
      name: odd
      namespace: shop
      annotations:
        nodegate.dev/timeout: soon
    spec: {ingressClassName: nodegate, defaultBackend: {service: {name: web, port: {number: 80}}}}
"""


@pytest.mark.parametrize(
    ("written", "code", "line"),
    [
        (ODD, "ServiceNotFound", 13),
        (f"{GOOD.strip()}\n---\n{ODD}".replace("name: web, namespace", "name: w, namespace", 1), "ServiceNotFound", 32),
        (LISTED, "InvalidAnnotation", 13),
        (ODD.replace("  ingressClassName: nodegate\n", ""), "IngressClassMissing", 4),
        (json.dumps(yaml.safe_load(ODD), indent=1), "ServiceNotFound", 19),
    ],
    ids=["a field", "a later document", "an item of a list", "a field that is not there", "JSON"],
)
def test_lint_says_on_which_line_the_field_is_that_translation_complains_of(
    folder: Path, written: str, code: str, line: int
) -> None:
    """Translation knows objects and fields only; who reads the report has files and lines."""
    (folder / "odd.yaml").write_text(written)
    (problem,) = (one for one in json.loads(run("lint", folder, "-o", "json").stdout) if one["code"] == code)
    assert problem["location"] == f"{folder}/odd.yaml:{line}"
    assert f"{folder}/odd.yaml:{line}: {problem['severity']}: Ingress shop/odd" in run("lint", folder).stdout


@pytest.mark.parametrize("command", ["lint", "translate"])
def test_a_folder_that_is_not_there_is_a_usage_error(command: str, tmp_path: Path) -> None:
    """Exit status 2, one sentence, no traceback."""
    result = run(command, tmp_path / "missing")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
    assert "Traceback" not in result.output
    (tmp_path / "file").write_text("")
    assert "is not a folder" in run(command, tmp_path / "file").stderr


# --- bootstrap ------------------------------------------------------------------------------------------------------


def test_bootstrap_prints_yaml_or_json() -> None:
    """Envoy reads both."""
    made = yaml.safe_load(run("bootstrap", "--node-name", "n1").stdout)
    assert json.loads(run("bootstrap", "--node-name", "n1", "-o", "json").stdout) == made
    assert made["dynamic_resources"]["ads_config"]["api_type"] == "DELTA_GRPC"


def test_bootstrap_points_where_serve_listens_by_default() -> None:
    """The two commands fit together without a flag."""
    made = yaml.safe_load(run("bootstrap").stdout)
    address = made["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]
    assert address["endpoint"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9900}


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1", "is not HOST:PORT"),
        ("127.0.0.1:http", "is not HOST:PORT"),
        ("127.0.0.1:70000", "is not HOST:PORT"),
        ("::1:9900", "in brackets"),
        ("unix:", "has no path"),
    ],
)
def test_an_address_that_is_none_is_a_usage_error_with_an_example(address: str, says: str) -> None:
    """The flag is named."""
    result = run("bootstrap", "--xds-address", address)
    assert result.exit_code == 2
    assert "--xds-address" in result.stderr
    assert says in result.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ("--xds-client-key", "k"),
        ("--xds-server-name", "n"),
        ("--xds-client-certificate", "c", "--xds-client-key", "k"),
        ("--xds-ca", "ca", "--xds-address", "unix:/run/x.sock"),
    ],
)
def test_half_of_a_tls_configuration_is_a_usage_error(flags: tuple[str, ...]) -> None:
    """It would be plaintext that looks secured."""
    result = run("bootstrap", *flags)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


# --- serve ----------------------------------------------------------------------------------------------------------


def test_serve_needs_a_source() -> None:
    """There is no folder that could be meant."""
    result = run("serve")
    assert result.exit_code == 2
    assert "--source" in result.stderr


def test_the_flags_that_choose_a_cluster_need_kubernetes_as_the_source(folder: Path) -> None:
    """A namespace of a folder is not watched: that would serve less than what was asked for, or more."""
    result = run("serve", "--source", str(folder), "--watch-namespace", "shop")
    assert result.exit_code == 2
    assert "need --source kubernetes" in result.stderr


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And what can be done instead."""
    result = run("serve", "--source", "kubernetes", "--kubeconfig", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert str(tmp_path / "none") in result.stderr
    assert "--kubeconfig" in result.stderr


def test_serve_refuses_shared_listeners_whose_service_is_not_watched() -> None:
    """Their ports are read back from it, so nothing would ever be served (DESIGN 3.6)."""
    result = run("serve", "--source", "kubernetes", "--watch-namespace", "shop", "--listener-mode", "shared")
    assert result.exit_code == 2
    assert "Add --watch-namespace nodegate-system" in result.stderr


@pytest.mark.slow
def test_serve_says_where_it_listens_and_ends_in_peace(folder: Path, tmp_path: Path) -> None:
    """SIGTERM ends it with status 0; its log is JSON when nobody watches."""
    flags = [word for name in ("http", "debug") for word in (f"--{name}-address", "127.0.0.1:0")]
    xds = f"unix:{tmp_path}/xds.sock"
    process = subprocess.Popen(
        [sys.executable, "-m", "nodegate", "serve", "--source", folder, "--xds-address", xds, *flags],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ,
    )
    assert process.stderr is not None
    lines = []
    with process:
        for line in process.stderr:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "The first listing is served.":
                break
        process.send_signal(signal.SIGTERM)
        lines += [json.loads(line) for line in process.stderr]
    assert process.returncode == 0
    said = {line["event"]: line for line in lines}
    assert said["xDS is served."]["address"] == xds
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*/debug/", said["Debug pages are served."]["url"])
    assert "Stopping." in said

"""The manifests say what the programs understand, and the example for Docker Compose fits together."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from nodegate.app.once import translate_once
from nodegate.cli import main
from nodegate.server.security import TlsFiles, names_node
from nodegate.settings import TranslationSettings
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.type_urls import ENDPOINT, LISTENER
from nodegate.source.kubernetes.resources import WATCHED
from nodegate.translate.render import rendered

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS, MTLS = ROOT / "kind" / "manifests", ROOT / "kind" / "mtls"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
EXTERNAL = {"NODE_NAME"}
"""Variables that are ours to name; every other one has to be that of a flag."""

Container = Mapping[str, Any]


def _documents(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def _containers(folder: Path) -> Iterator[tuple[str, Container]]:
    for one in _documents(folder):
        if one["kind"] in {"Deployment", "DaemonSet"}:
            spec = one["spec"]["template"]["spec"]
            for container in (*spec.get("initContainers", ()), *spec["containers"]):
                yield f"{one['metadata']['name']}/{container['name']}", container


def _ours(container: Container) -> list[str]:
    """Return the words after ``nodegate`` that a container runs; none when it runs something else."""
    words = container.get("command", [])
    if not words:
        return list(container.get("args", []))
    found = re.search(r"nodegate ([a-z]+)(?: [^>|]*)?", " ".join(words))
    return found.group().split()[1:] if found else []


def _command(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None, f"there is no command nodegate {name}"
    return command


def _variables(command: click.Command) -> set[str]:
    return {str(param.envvar) for param in command.params if isinstance(param, click.Option)}


def _parse(words: list[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return what a command of ours makes of its words; click raises for what it does not know."""
    name, *rest = words
    command = _command(name)
    assert variables.keys() - EXTERNAL <= _variables(command)
    return command.make_context(name, [*rest, *_as_flags(command, variables)]).params


def _as_flags(command: click.Command, variables: Mapping[str, str]) -> Iterator[str]:
    for param in command.params:
        if param.envvar in variables:
            value = variables[str(param.envvar)]
            yield param.opts[0] if value == "true" else f"{param.opts[0]}={value}"


def _environment(container: Container) -> dict[str, str]:
    return {one["name"]: one.get("value", "some") for one in container.get("env", ())}


# --- In a cluster --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "container"), list(_containers(MANIFESTS)), ids=lambda one: one if isinstance(one, str) else ""
)
def test_every_flag_and_variable_exists(name: str, container: Container) -> None:
    """Asked of the commands themselves."""
    if name == "envoy/envoy":
        assert _ours(container) == []
        return
    _parse(_ours(container), _environment(container))


def test_the_addresses_of_the_manifests_are_those_of_the_flags() -> None:
    """What is probed and what Envoys connect to is where the control plane listens."""
    containers = dict(_containers(MANIFESTS))
    flags = _parse(_ours(containers["nodegate/nodegate"]), {})
    ports = {port["name"]: port["containerPort"] for port in containers["nodegate/nodegate"]["ports"]}
    assert flags["xds_address"] == f"0.0.0.0:{ports['xds']}"
    assert flags["http_address"] == f"0.0.0.0:{ports['http']}"
    (service,) = (one for one in _documents(MANIFESTS) if one["kind"] == "Service")
    assert service["spec"]["ports"][0]["port"] == ports["xds"]
    expected = "{name}.{namespace}.svc".format(**service["metadata"]) + f":{ports['xds']}"
    assert _environment(containers["envoy/bootstrap"])["NODEGATE_XDS_ADDRESS"] == expected
    assert f"--xds-address={expected}" in containers["agent/agent"]["args"]


def test_containers_have_the_capabilities_they_need_and_no_others() -> None:
    """All are dropped, privileges do not grow, and the file system is read-only."""
    added = {}
    for name, container in _containers(MANIFESTS):
        context = container["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"], name
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True), name
        assert "privileged" not in context
        assert container["resources"]["limits"]["memory"]
        if more := context["capabilities"].get("add"):
            added[name] = more
    assert added == {"envoy/envoy": ["NET_ADMIN"], "agent/agent": ["NET_ADMIN", "BPF", "NET_RAW"]}


def test_the_variables_of_mutual_tls_are_those_of_the_flags() -> None:
    """On all sides, and each file is in a folder that is mounted."""
    plain = dict(_containers(MANIFESTS))
    mounted = {
        one["metadata"]["name"]: {
            mount["mountPath"] for c in one["spec"]["template"]["spec"]["containers"] for mount in c["volumeMounts"]
        }
        for one in _documents(MTLS)
        if one["kind"] != "Kustomization"
    }
    assert mounted == {name: {"/etc/nodegate/xds"} for name in ("nodegate", "envoy", "agent")}
    for name, container in _containers(MTLS):
        variables = _environment(container)
        assert all(path.startswith("/etc/nodegate/xds/") for path in variables.values())
        if variables:
            _parse(_ours(plain[name]), variables)


def test_the_role_lets_everything_be_read_that_is_watched() -> None:
    """What else it grants is compared with what is done, at a real API server (tests/kube/test_rules.py)."""
    (role,) = (one for one in _documents(MANIFESTS) if one["kind"] == "ClusterRole")
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault((group, resource), set()).update(rule["verbs"])
    for resource in WATCHED:
        assert granted[resource.group, resource.plural] >= {"list", "watch"}


def test_the_class_is_ours() -> None:
    """By its controller (DESIGN 5)."""
    (made,) = (one for one in _documents(MANIFESTS) if one["kind"] == "IngressClass")
    assert made["spec"]["controller"] == "nodegate.dev/ingress-controller"


# --- Certificates for the nodes ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_script_makes_certificates_that_prove_a_node(tmp_path: Path) -> None:
    """Signed by one authority, each for its own node's name, read by root alone; made again, they are new."""
    script = ROOT / "kind" / "certificates.sh"
    subprocess.run([script, tmp_path, "node-1"], check=True)
    first = (tmp_path / "nodes/node-1/tls.crt").read_bytes()
    subprocess.run([script, tmp_path, "node-1", "node-2.example"], check=True)
    assert (tmp_path / "nodes/node-1/tls.crt").read_bytes() != first
    for name, folder in (("node-1", "nodes/node-1"), ("node-2.example", "nodes/node-2.example")):
        files = TlsFiles(tmp_path / folder / "tls.crt", tmp_path / folder / "tls.key", tmp_path / "ca.crt")
        assert {path.stat().st_mode & 0o77 for path in files.all} == {0}
        assert _openssl("verify", "-CAfile", files.client_ca, "-purpose", "sslclient", files.certificate).endswith(
            "OK\n"
        )
        names = re.findall(r"DNS:(\S+)", _openssl("x509", "-in", files.certificate, "-noout", "-ext", "subjectAltName"))
        assert names == [name]
        proof = {"x509_subject_alternative_name": [one.encode() for one in names]}
        assert names_node(proof, NodeFacts(node=name), "")
        assert not names_node(proof, NodeFacts(node="node-3"), "")
    server = tmp_path / "control-plane" / "tls.crt"
    assert _openssl("verify", "-CAfile", tmp_path / "ca.crt", "-purpose", "sslserver", server).endswith("OK\n")


def _openssl(*words: object) -> str:
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True).stdout


# --- The image ------------------------------------------------------------------------------------------------------


def test_the_image_is_built_from_what_there_is() -> None:
    """Lock files by their names, the build backend at its pinned version, and the command that all containers run."""
    text, project = (ROOT / "Dockerfile").read_text(), tomllib.loads((ROOT / "pyproject.toml").read_text())
    locks = re.findall(r"-r (\S+)", text)
    assert locks
    assert [name for name in locks if not (ROOT / name).is_file()] == []
    assert re.findall(r"hatchling==\S+", text) == project["build-system"]["requires"]
    assert f'ENTRYPOINT ["{next(iter(project["project"]["scripts"]))}"]' in text
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {"xds", "redirect", "protos", "bpf", "examples", "tools", "requirements"} & set(ignored)


def test_everything_runs_the_image_of_this_version() -> None:
    """Wherever a tag is written."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    texts = [ROOT / "Dockerfile", ROOT / "docker-compose.yml", *(ROOT / "kind").glob("*.*")]
    tags = {path.name: set(re.findall(r"\bnodegate:(\d+\.[\w.]+)", path.read_text())) for path in texts}
    assert {name: found for name, found in tags.items() if found - {version}} == {}
    assert {"Dockerfile", "docker-compose.yml", "bookinfo.yaml", "up.sh"} <= {name for name, one in tags.items() if one}
    kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    assert {one["name"]: one["newTag"] for one in kustomization["images"]}["nodegate"] == version


# --- Docker Compose ------------------------------------------------------------------------------------------------


def test_what_compose_runs_is_understood() -> None:
    """Only keys of the Compose specification that are meant, and flags that exist."""
    known = {
        "image",
        "build",
        "command",
        "entrypoint",
        "volumes",
        "ports",
        "networks",
        "depends_on",
        "user",
        "read_only",
    }
    known |= {"cap_drop", "cap_add", "security_opt", "healthcheck", "restart", "environment"}
    assert COMPOSE.keys() == {"services", "volumes", "networks"}
    for name, service in COMPOSE["services"].items():
        assert service.keys() <= known, name
        for other in service.get("depends_on", {}):
            assert other in COMPOSE["services"]
        for mount in service.get("volumes", ()):
            source, target, *_ = mount.split(":")
            assert target.startswith("/")
            assert (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]
    flags = _parse(COMPOSE["services"]["nodegate"]["command"], {})
    assert (flags["source"], flags["xds_address"]) == ("/manifests", "0.0.0.0:9900")
    words = COMPOSE["services"]["bootstrap"]["command"][0].partition(">")[0].split()
    assert words[0] == "nodegate"
    assert _parse(words[1:], {})["xds_address"] == "nodegate:9900"


async def test_what_compose_mounts_leads_to_its_backends(tmp_path: Path) -> None:
    """The listener is on the published port, and each cluster's endpoint is a backend's address in the network."""
    nodegate = COMPOSE["services"]["nodegate"]
    for mount in nodegate["volumes"]:
        source, target, *_ = mount.split(":")
        if target.startswith("/manifests/"):
            (tmp_path / Path(target).name).write_text((ROOT / source).read_text())
    flags = _parse(nodegate["command"], {})
    settings = TranslationSettings(listener_mode="shared", expose=flags["expose"], http_port=flags["http_port"])
    state = await translate_once(tmp_path, settings)
    assert state.all_problems() == ()
    assert list(state.target.of_type(LISTENER)) == ["shared/http@8080"]
    assert COMPOSE["services"]["envoy"]["ports"] == ["127.0.0.1:8080:8080"]
    found = {
        name: _addresses(rendered(entry.resolve(NodeFacts()))) for name, entry in state.target.of_type(ENDPOINT).items()
    }
    addresses = {
        f"default/{name}/9080": [service["networks"]["mesh"]["ipv4_address"]]
        for name, service in COMPOSE["services"].items()
        if name in {"details", "productpage"}
    }
    assert found == addresses


def _addresses(assignment: Mapping[str, Any]) -> list[str]:
    return [
        one["endpoint"]["address"]["socket_address"]["address"]
        for locality in assignment["endpoints"]
        for one in locality["lb_endpoints"]
    ]

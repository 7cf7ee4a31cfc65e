"""``nodegate demo --redirect``: a client outside the node reaches Envoy by cluster IP and NodePort, in one command."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.rig.demo import Demo, Start, gone, without_privileges
from tests.e2e.rig.waiting import eventually
from tools import bpf

NEEDED = {
    "ebpf": {"nft": "nftables", "tc": "iproute2", "clang": "clang libbpf-dev linux-libc-dev"},
    "iptables": {"iptables-save": "iptables", "ipset": "ipset"},
    "nftables": {"nft": "nftables"},
}
SHOWS = {"ebpf": "-> port ", "iptables": "-j TPROXY --on-port ", "nftables": "tproxy to :"}


def opened(run: Start, mode: str, *arguments: str, through: tuple[str, ...] = ()) -> Demo:
    """Start the demo in a mode and wait until it has shown everything."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root: run the tests as root")
    programs = {"ip": "iproute2", "ss": "iproute2", "nsenter": "util-linux", "curl": "curl", **NEEDED[mode]}
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = sorted({package for program, package in programs.items() if shutil.which(program) is None})
    if missing:
        pytest.skip(f"programs are missing; install the Debian packages {' '.join(missing)}")
    if mode == "ebpf":
        bpf.build()
    demo = run("--redirect", mode, *arguments, through=through)
    demo.wait_for("Ctrl-C stops everything")
    return demo


def curl_lines(demo: Demo) -> list[str]:
    """Return the commands that it says a client outside the node runs."""
    return re.findall(r"# (nsenter \S+ curl -s \S+)", demo.said)


@pytest.mark.parametrize("mode", SHOWS)
def test_a_client_outside_the_node_is_served_by_cluster_ip_and_node_port(run: Start, mode: str) -> None:
    """The seed's two requests, its look at the sockets, and what did it; afterwards nothing is left (redirect 1, 2)."""
    before = network_of_the_machine()
    demo = opened(run, mode)
    urls = [line.rpartition(" ")[2] for line in curl_lines(demo)]
    assert urls == ["http://10.103.218.167/details/1", "http://10.0.1.1:31907/details/1"]
    for line in curl_lines(demo):
        answer = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=10, check=True).stdout
        assert json.loads(answer)["author"] == "William Shakespeare"
    (port,) = set(re.findall(r"LISTEN .*0\.0\.0\.0:(\d+) .*envoy", demo.said))
    assert re.search(r"ESTAB .* 10\.244\.0\.11:9080 .*envoy", demo.said)
    assert f"{SHOWS[mode]}{port}" in demo.said
    assert "from all fwmark 0x200/0xf00 lookup 2004" in demo.said
    assert "local default dev lo" in demo.said

    started = demo.descendants()
    assert demo.end() == 0, demo.said
    assert demo.said.rstrip().endswith("Stopped. Nothing is left running.")
    assert gone(started)
    demo.require_nothing_left()
    assert network_of_the_machine() == before


def test_an_edit_adds_a_pod(run: Start, tmp_path: Path) -> None:
    """Each address of the example's EndpointSlices is a network of its own, also one that comes later."""
    shutil.copytree("examples/redirect", tmp_path / "example")
    demo = opened(run, "nftables", "--examples", str(tmp_path / "example"))
    file = tmp_path / "example" / "bookinfo.yaml"
    file.write_text(file.read_text().replace('["10.244.0.11"]', '["10.244.0.13"]'))
    demo.wait_for("Another backend of details runs on 10.244.0.13:9080", within=5)
    line = curl_lines(demo)[0].replace("curl -s", "curl -s -D -")
    eventually(lambda: "x-backend: 10.244.0.13:9080" in output(line), within=5, what="an answer of the new Pod")


@pytest.mark.parametrize("killed", ["the demo", "its parent"])
def test_nothing_is_left_however_the_demo_is_ended(run: Start, killed: str) -> None:
    """Its networks and what runs in them end with it, and it with its parent."""
    before = network_of_the_machine()
    through = () if killed == "the demo" else ("sh", "-c", '"$@" & wait $!', "sh")
    demo = opened(run, "iptables", through=through)
    started = demo.descendants()
    demo.process.send_signal(signal.SIGKILL)
    demo.process.wait(10)
    eventually(lambda: gone(started), within=10, what="the end of everything it started")
    assert network_of_the_machine() == before


def test_without_root_it_says_what_it_takes(run: Start) -> None:
    """A sentence, no traceback."""
    demo = run("--redirect", "nftables", through=without_privileges())
    assert demo.finish() in {1, 2}
    assert "run it with sudo" in demo.said or "capabilities SYS_ADMIN and NET_ADMIN" in demo.said
    assert "Traceback" not in demo.said


def output(line: str) -> str:
    return subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=10, check=False).stdout


def network_of_the_machine() -> str:
    """Return what the demo could have left in the machine's own network and mounts."""
    commands = ("ip -o link", "ip rule", "ip route show table all", "nft list ruleset", "ipset save")
    said = [output(command) for command in commands if shutil.which(command.split()[0])]
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if "nodegate-demo" in line]
    pins = Path("/run/nodegate")
    return "\n".join([*said, *mounts, *(map(str, sorted(pins.rglob("*"))) if pins.is_dir() else ())])

"""``--mode auto``: the first mode that the kernel supports, with the reasons why not another one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodegate_redirect.agent.choosing import AUTO, NAMES, Choice, ModeOptions, choose
from nodegate_redirect.errors import UnsupportedError
from nodegate_redirect.iptables import IptablesMode
from nodegate_redirect.iptables.programs import detect_backend
from tests.redirect.rig.world import PINS, World, service, world
from tools import bpf


@pytest.fixture
def node() -> Iterator[World]:
    """Return a node without any rules."""
    with world("ebpf") as made:
        yield made


def chosen(node: World, name: str, program: Path) -> Choice:
    """Return the choice that an agent on the node makes."""
    return node.network.inside("node", lambda: choose(name, ModeOptions("nft", program, PINS)))


def test_where_everything_works_ebpf_is_taken(node: World) -> None:
    choice = chosen(node, AUTO, bpf.build())
    assert choice.mode.name == "ebpf"
    assert choice.why.startswith("ebpf works here, and it decides a connection with one lookup")
    assert {mode.name for mode in choice.others} == {"nftables", "iptables"}


def test_a_program_that_the_kernel_does_not_take_is_a_reason_for_the_next_mode(node: World, tmp_path: Path) -> None:
    """And the verifier's log is in the reason; the old mode can still be removed."""
    source = Path(__file__).parent / "rig" / "refused.bpf.c"
    choice = chosen(node, AUTO, bpf.compiled(source, tmp_path / "program.bpf.o"))
    assert choice.mode.name == "nftables"
    assert "Not ebpf: The kernel does not take the program" in choice.why
    assert "invalid access to packet" in choice.why
    assert {mode.name for mode in choice.others} == {"ebpf", "iptables"}


CANARY = "*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n"
MORE_RULES = "*filter\n-A FORWARD -s 192.0.2.1 -j DROP\nCOMMIT\n"
NODES = {
    "nothing": ("", "nft"),
    "kubelet's chain in nft": (f"iptables-nft-restore --noflush <<< '{CANARY}'", "nft"),
    "kubelet's chain in legacy": (f"iptables-legacy-restore --noflush <<< '{CANARY}'", "legacy"),
    "more rules in legacy": (f"iptables-legacy-restore --noflush <<< '{MORE_RULES}'", "legacy"),
}


@pytest.mark.parametrize(("there", "backend"), NODES.values(), ids=NODES)
def test_iptables_is_that_which_the_rest_of_the_node_uses(node: World, there: str, backend: str) -> None:
    """Rules of the other one would be before or behind kube-proxy's, whatever their order (redirect 12)."""
    node.network.run("node", there or "true")
    assert node.network.inside("node", detect_backend) == backend


def test_a_machine_that_has_only_one_iptables_uses_that(
    node: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Newer distributions come without iptables-legacy; its absence is no reason to fail, not in a cleanup either."""
    for program in ("iptables-nft-save", "iptables-nft-restore", "ip6tables-nft-save", "ip6tables-nft-restore"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    for program in ("nft", "ipset"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("nodegate_redirect.host.commands._SYSTEM_FOLDERS", os.devnull)
    mode = node.network.inside("node", IptablesMode)
    node.mode = mode
    node.network.inside("node", mode.require)
    node.apply(service())
    assert node.cleanup().changes


@pytest.mark.parametrize("name", NAMES)
def test_looking_whether_a_mode_works_changes_nothing(node: World, name: str) -> None:
    before = node.kernel()
    assert chosen(node, name, bpf.build()).mode.name == name
    assert node.kernel() == before


def test_a_mode_that_was_asked_for_and_does_not_work_is_an_error_and_no_other_mode(
    node: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody gets another mode than the one that was asked for."""
    with pytest.raises(UnsupportedError, match=r"^ebpf: There is no program .*make bpf\.$"):
        chosen(node, "ebpf", tmp_path / "none.o")
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr("nodegate_redirect.host.commands._SYSTEM_FOLDERS", os.devnull)
    with pytest.raises(UnsupportedError, match=r"^nftables: There is no program nft here"):
        chosen(node, "nftables", bpf.build())

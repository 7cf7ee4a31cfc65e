"""What a wheel has that a checkout has not: the compiled eBPF program, beside the module that loads it.

It is for BPF's virtual machine, not for a CPU: one file serves every little-endian machine, so the wheel stays the same
for all of them. A checkout runs what ``make bpf`` made.
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INSTALLED = "nodegate_redirect/ebpf/redirect.bpf.o"
WITHOUT = "NODEGATE_WITHOUT_BPF"


class Wheel(BuildHookInterface):  # type: ignore[type-arg]  # generic in the builder's configuration, which we do not read
    """Hatchling's build hook."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the program and put it into the wheel.

        Raises FileNotFoundError where there is no clang; NODEGATE_WITHOUT_BPF=1 leaves the program out.
        """
        if version != "editable" and os.environ.get(WITHOUT) != "1":
            build_data["force_include"][str(_compile(Path(self.root)))] = INSTALLED


def _compile(root: Path) -> Path:
    try:
        built: Path = runpy.run_path(str(root / "tools" / "bpf.py"))["build"]()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Or build without the eBPF mode: {WITHOUT}=1.") from error
    return built

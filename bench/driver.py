"""The conversation with the processes under measurement, from the orchestrator's side."""

from __future__ import annotations

import json
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from nodegate.errors import NodegateError


class BenchError(NodegateError):
    """A process of the benchmark did not do what it was told."""


class Process:
    """A child that obeys one command per line (``bench.control`` and ``bench/internal/control``)."""

    def __init__(self, command: Sequence[str]) -> None:
        self._name = " ".join(command)
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.greeting = self._answer()

    def tell(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and return the answer; raise BenchError when it failed."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._child.stdin.flush()
        return self._answer()

    def quit(self) -> None:
        """End the process, by force when it does not within five seconds."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise BenchError(f"'{self._name}' ended with status {self._child.wait()}; its last words are above.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(f"'{self._name}' reports: {answer['error']}")
        return answer


@dataclass(frozen=True, slots=True)
class Memory:
    """A process's resident memory, now and at its highest since ``forget_peak``, in MB (10**6 bytes)."""

    now_mb: float
    peak_mb: float


class ServerProcess(Process):
    """A server under measurement."""

    @property
    def address(self) -> str:
        """Where it listens, ``HOST:PORT``."""
        return str(self.greeting["address"])

    def cpu_s(self) -> float:
        """Return the CPU seconds it has used so far, all threads."""
        return float(self.tell("cpu")["seconds"])

    def memory(self) -> Memory:
        """Return how much memory it has."""
        kib = self.tell("memory")
        return Memory(kib["rss_kib"] * 1024 / 1e6, kib["peak_kib"] * 1024 / 1e6)

    def forget_peak(self) -> None:
        """Count the highest memory from now on."""
        self.tell("reset_peak")

    def settled_cpu_s(self, limit_s: float = 20.0) -> float:
        """Return the CPU seconds it has used once it is idle: less than 1 ms in 100 ms."""
        before, deadline = self.cpu_s(), time.monotonic() + limit_s
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = self.cpu_s()
            if now - before < 0.001:
                return now
            before = now
        return before


AnyProcess = TypeVar("AnyProcess", bound=Process)


@contextmanager
def running(process: AnyProcess) -> Iterator[AnyProcess]:
    """End the process when the block is left."""
    try:
        yield process
    finally:
        process.quit()


def raise_descriptor_limit() -> None:
    """Let this process and its children have as many connections as the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

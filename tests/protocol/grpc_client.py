"""A gRPC client that finds its service through xDS: a call and a line of output for each line of input.

Run as a program: gRPC reads ``GRPC_XDS_BOOTSTRAP`` once, when its library is loaded.
"""

from __future__ import annotations

import sys

import grpc

METHOD = "/nodegate.test.Who/AreYou"


def main() -> None:
    """Answer each line with who answered, or with the status of the call."""
    with grpc.insecure_channel(sys.argv[1]) as channel:
        call = channel.unary_unary(METHOD)
        for _ in sys.stdin:
            try:
                answer = call(b"", wait_for_ready=True, timeout=10).decode()
            except grpc.RpcError as error:
                answer = str(error.code())
            sys.stdout.write(f"{answer}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

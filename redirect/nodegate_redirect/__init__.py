"""The redirect agent: all traffic to a Service's frontends goes to the port of its listener, on each node.

What is asked for arrives over ADS (``contract``), ``plan`` works out what the kernel should hold, and a *mode* (a
folder: ``iptables``, ``ebpf``, ``nftables``) makes the kernel hold it, through ``host``, the only door to the kernel.
Nothing is ever flushed and rebuilt: modes compare and change the difference.
"""

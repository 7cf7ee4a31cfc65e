"""The only door to the kernel: programs that are run, netlink, and sockets' diagnostics."""

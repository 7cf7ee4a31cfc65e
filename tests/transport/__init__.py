"""The gRPC shell of the xDS server, over real sockets: security, limits, health, CSDS, draining."""

"""What the tests of the redirect stand on: network namespaces, a transparent listener, clients, rules of kube-proxy."""

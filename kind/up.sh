#!/usr/bin/env bash
# `make kind`: a cluster of kind with nodegate on it, and the BookInfo example behind an Ingress.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for program in docker kind kubectl; do
    command -v "$program" > /dev/null || { echo "make kind needs $program; it is not in PATH." >&2; exit 1; }
done
docker info > /dev/null 2>&1 || { echo "make kind needs a Docker engine that runs; \`docker info\` fails." >&2; exit 1; }

image=nodegate:0.1.0
docker build -t "$image" .
kind get clusters | grep -qx nodegate || kind create cluster --config kind/cluster.yaml
kind load docker-image --name nodegate "$image"
kubectl config use-context kind-nodegate
kubectl apply -k kind/manifests
kubectl -n nodegate-system rollout status deployment/nodegate --timeout=120s
kubectl -n nodegate-nodes rollout status daemonset/envoy --timeout=180s
kubectl apply -f kind/bookinfo.yaml -f examples/bookinfo/
kubectl rollout status deployment/details deployment/productpage --timeout=120s
kubectl get ingress,service

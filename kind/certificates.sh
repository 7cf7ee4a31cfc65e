#!/usr/bin/env bash
# Certificates for mutual TLS between the nodes and the control plane, made with openssl alone.
#
#   kind/certificates.sh FOLDER NODE...
#
# FOLDER/ca.crt and ca.key        the authority; keep the key somewhere safe. Made once, used again after that.
# FOLDER/control-plane/           tls.crt, tls.key and ca.crt of the control plane
# FOLDER/nodes/NODE/              the same for each node; the certificate is for the node's name
#
# Run it again for new nodes, or to renew (each certificate is good for a year).
set -euo pipefail

folder=${1:?"which folder do the certificates go to?"}
shift
umask 077
mkdir -p "$folder"

issue() { # folder, name, usage
    mkdir -p "$1"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=nodegate" \
        -keyout "$1/tls.key.new" -out "$1/request" 2> "$1/log" || { cat "$1/log" >&2; return 1; }
    openssl x509 -req -in "$1/request" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -days 365 \
        -extfile <(printf 'subjectAltName=DNS:%s\nextendedKeyUsage=%s\nkeyUsage=digitalSignature\n' "$2" "$3") \
        -out "$1/tls.crt.new" 2> "$1/log" || { cat "$1/log" >&2; return 1; }
    mv "$1/tls.key.new" "$1/tls.key"
    mv "$1/tls.crt.new" "$1/tls.crt"
    cp "$folder/ca.crt" "$1/ca.crt"
    rm "$1/request" "$1/log"
}

if [ ! -e "$folder/ca.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=nodegate xDS" \
        -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$folder/ca.key" -out "$folder/ca.crt" 2> /dev/null
fi
issue "$folder/control-plane" nodegate-xds.nodegate-system.svc serverAuth
for node in "$@"; do
    issue "$folder/nodes/$node" "$node" clientAuth
done

# One image for `nodegate serve`, `nodegate bootstrap` and `nodegate agent`.
#
#   docker build -t nodegate:0.1.0 .
#
# The lock file pins every Python package with its hash; it is for Python 3.11.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends clang libbpf-dev linux-libc-dev
WORKDIR /src
COPY . .
RUN python -m venv /opt/nodegate \
    && /opt/nodegate/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt -r requirements/agent.txt \
    && python -m venv /tmp/builder && /tmp/builder/bin/pip install --no-cache-dir hatchling==1.33.0 \
    && /tmp/builder/bin/python -m hatchling build -t wheel \
    && /opt/nodegate/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl

FROM python:3.11-slim-bookworm
# The agent's modes use these programs; libbpf loads the program of the eBPF mode.
RUN apt-get update \
    && apt-get install -y --no-install-recommends iptables ipset nftables libbpf1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 65532 --user-group --no-create-home nodegate \
    && install -d -o 65532 -g 65532 /var/lib/nodegate /etc/envoy
COPY --from=build /opt/nodegate /opt/nodegate
ENV PATH=/opt/nodegate/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["nodegate"]

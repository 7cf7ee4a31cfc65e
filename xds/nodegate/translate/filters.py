"""HTTP filters that some routes use: off in the connection manager, turned on by what a route says of them."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from nodegate.translate.options import Cors, RateLimit, RouteOptions
from nodegate.translate.packing import pack, seconds
from nodegate.translate.regexes import wildcard_regex

CORS, RBAC, RATE_LIMIT, BUFFER, ROUTER = (
    "envoy.filters.http.cors",
    "envoy.filters.http.rbac",
    "envoy.filters.http.local_ratelimit",
    "envoy.filters.http.buffer",
    "envoy.filters.http.router",
)
_UNLIMITED = 2**32 - 1


def add_filters(filters: Any, *, buffering: bool = True) -> None:
    """Append the filters of a connection manager, all but the router disabled until a route configures them.

    ``buffering`` False leaves out the one that waits for the end of a body, which an upgraded connection has not.
    """
    _add(filters, CORS, cors_pb2.Cors())
    _add(filters, RBAC, rbac_filter_pb2.RBAC())
    _add(filters, RATE_LIMIT, local_rate_limit_pb2.LocalRateLimit(stat_prefix="rate_limit"))
    if buffering:
        _add(filters, BUFFER, buffer_pb2.Buffer(max_request_bytes=UInt32Value(value=_UNLIMITED)))
    router = filters.add(name=ROUTER)
    pack(router.typed_config, router_pb2.Router())


def _add(filters: Any, name: str, config: Any) -> None:
    added = filters.add(name=name, disabled=True)
    pack(added.typed_config, config)


def configure(per_filter: Any, options: RouteOptions) -> None:
    """Put what a route's options ask of filters into its ``typed_per_filter_config``."""
    if options.cors is not None:
        pack(per_filter[CORS], _cors(options.cors))
    if options.deny_all or options.deny or options.allow is not None:
        pack(per_filter[RBAC], _ranges(options))
    if options.rate_limit is not None:
        pack(per_filter[RATE_LIMIT], _rate_limit(options.rate_limit))
    if options.max_body_size is not None:
        limit = buffer_pb2.Buffer(max_request_bytes=UInt32Value(value=options.max_body_size))
        pack(per_filter[BUFFER], buffer_pb2.BufferPerRoute(buffer=limit))


def _cors(cors: Cors) -> Any:
    policy = cors_pb2.CorsPolicy(allow_methods=cors.methods, max_age=str(int(cors.max_age)))
    policy.allow_origin_string_match.extend(_origin(origin) for origin in cors.origins)
    if cors.headers:
        policy.allow_headers = cors.headers
    if cors.credentials:
        policy.allow_credentials.value = True
    return policy


def _origin(origin: str) -> Any:
    if "*" not in origin:
        return string_pb2.StringMatcher(exact=origin)
    matcher = string_pb2.StringMatcher()
    matcher.safe_regex.regex = wildcard_regex(origin)
    return matcher


def _ranges(options: RouteOptions) -> Any:
    """Return one rule that denies: everybody, or who is in a denied range or in no allowed one."""
    policy = rbac_pb2.Policy()
    policy.permissions.add().any = True
    if options.deny_all or options.allow == ():
        policy.principals.add().any = True
    else:
        for denied in options.deny:
            policy.principals.add().remote_ip.CopyFrom(_cidr(denied))
        if options.allow is not None:
            others = policy.principals.add().not_id.or_ids
            for allowed in options.allow:
                others.ids.add().remote_ip.CopyFrom(_cidr(allowed))
    rules = rbac_pb2.RBAC(action=rbac_pb2.RBAC.DENY)
    rules.policies["address ranges"].CopyFrom(policy)
    return rbac_filter_pb2.RBACPerRoute(rbac=rbac_filter_pb2.RBAC(rules=rules))


def _cidr(network: str) -> Any:
    address, _, length = network.partition("/")
    return address_pb2.CidrRange(address_prefix=address, prefix_len=UInt32Value(value=int(length)))


def _rate_limit(limit: RateLimit) -> Any:
    config = local_rate_limit_pb2.LocalRateLimit(stat_prefix="rate_limit")
    config.token_bucket.max_tokens = limit.requests
    config.token_bucket.tokens_per_fill.value = limit.requests
    config.token_bucket.fill_interval.CopyFrom(seconds(limit.seconds))
    for share in (config.filter_enabled, config.filter_enforced):
        share.default_value.numerator = 100
    return config

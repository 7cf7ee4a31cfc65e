"""Every kind of problem translation finds. ``docs/problems.md`` is generated from this table."""

from __future__ import annotations

from nodegate.model.problem import ProblemCode, Severity

INGRESS_CLASS_UNKNOWN = ProblemCode(
    "IngressClassUnknown",
    "The Ingress names a class for which there is no IngressClass object, so it is not served.",
    "Create an IngressClass of that name with controller nodegate.dev/ingress-controller, or name one that exists.",
    Severity.INFO,
)
INGRESS_CLASS_MISSING = ProblemCode(
    "IngressClassMissing",
    "The Ingress names no class and no class of nodegate is the default one, so it is not served.",
    "Set spec.ingressClassName, or annotate an IngressClass with ingressclass.kubernetes.io/is-default-class: 'true'.",
    Severity.INFO,
)
NAMESPACE_TERMINATING = ProblemCode(
    "NamespaceTerminating",
    "The namespace of the Ingress is being deleted, so it is not served and does not win against other Ingresses.",
    "Create the Ingress in another namespace.",
    Severity.INFO,
)
INVALID_NAME = ProblemCode(
    "InvalidIngressName",
    "The name or namespace of the Ingress is empty or holds a character no Kubernetes name holds: it is not served.",
    "Use lower-case letters, digits, '-' and '.'.",
)
EMPTY_INGRESS = ProblemCode(
    "EmptyIngress",
    "The Ingress has neither a rule nor a default backend: every request to it answers 404.",
    "Add spec.rules or spec.defaultBackend.",
    Severity.WARNING,
)
INVALID_HOST = ProblemCode(
    "InvalidHost",
    "A rule's host is not a DNS name and not a wildcard like *.example.com: the rule is left out.",
    "Write a lower-case DNS name without port, or *. and a DNS name.",
)
INVALID_PATH = ProblemCode(
    "InvalidPath",
    "A path can never match a request, or is not a path: it is left out.",
    "Write an absolute path without query, fragment, empty or dot segments.",
)
PATH_TAKEN_LITERALLY = ProblemCode(
    "PathTakenLiterally",
    "A path looks like a pattern of another Ingress controller. It is served, but compared character by character, as "
    "a prefix: no request is likely to match it.",
    "Leave out a '*' at the end, as prefixes match what is below them. For a regular expression set pathType to "
    "ImplementationSpecific and add the annotation nodegate.dev/path-regex: full.",
    Severity.WARNING,
)
INVALID_PATH_TYPE = ProblemCode(
    "InvalidPathType",
    "The pathType is none of Exact, Prefix and ImplementationSpecific: the path is left out.",
    "Set pathType to Exact, Prefix or ImplementationSpecific.",
)
PATH_CONFLICT = ProblemCode(
    "PathConflict",
    "The same host, path and path type is declared twice: the older Ingress is served, within one the first.",
    "Remove one of the two, or change its host or path.",
)
RESOURCE_BACKEND = ProblemCode(
    "ResourceBackend",
    "The backend is a resource other than a Service, which nodegate does not serve: requests answer 503.",
    "Use backend.service.",
)
INVALID_BACKEND = ProblemCode(
    "InvalidBackend",
    "The backend names no Service, or not exactly one of a port's name and number: requests answer 503.",
    "Set backend.service.name and one of backend.service.port.number and backend.service.port.name.",
)
SERVICE_NOT_FOUND = ProblemCode(
    "ServiceNotFound",
    "The Service of a backend does not exist in the Ingress' namespace: requests answer 503 until it does.",
    "Create the Service, or correct its name.",
)
SERVICE_PORT_NOT_FOUND = ProblemCode(
    "ServicePortNotFound",
    "The Service of a backend has no such port: requests answer 503 until it has.",
    "Add the port to the Service, or correct the port in the Ingress.",
)
NO_ENDPOINTS = ProblemCode(
    "NoEndpoints",
    "A Service that is served has no endpoint that may be used: requests answer 503 until it has one.",
    "Check that the Service's Pods run and are ready: kubectl get endpointslices.",
    Severity.WARNING,
)
INVALID_ENDPOINT = ProblemCode(
    "InvalidEndpoint",
    "An address of an EndpointSlice is not of the slice's addressType, or its port is out of range: it is left out.",
    "Correct the address in the EndpointSlice, or the slice's addressType.",
)

ADDRESS_TYPE_NOT_SERVED = ProblemCode(
    "AddressTypeNotServed",
    "The endpoints of an EndpointSlice are host names, or of a kind nodegate does not know: they are left out.",
    "List IP addresses, or use a Service of type ExternalName for a host name.",
    Severity.WARNING,
)
UNKNOWN_ANNOTATION = ProblemCode(
    "UnknownAnnotation",
    "An annotation starts with nodegate.dev/ but is none that nodegate reads on this kind of object: it does nothing.",
    "Correct its name; docs/annotations.md lists all of them.",
    Severity.WARNING,
)
INVALID_ANNOTATION = ProblemCode(
    "InvalidAnnotation",
    "The value of an annotation cannot be read: it counts as absent. Where it was to keep somebody out, all are kept.",
    "Correct the value; docs/annotations.md shows an example of each.",
)
CERTIFICATE_NOT_SERVED = ProblemCode(
    "CertificateNotServed",
    "The Secret of a tls entry does not exist or holds no key pair that Envoy accepts: the host is served with the "
    "default certificate until it does.",
    "Create a Secret of type kubernetes.io/tls with a matching tls.crt and tls.key in the Ingress' namespace.",
)
CERTIFICATE_CONFLICT = ProblemCode(
    "CertificateConflict",
    "Two tls entries declare different Secrets for one host: that of the older Ingress is served.",
    "Remove the host from one of the two.",
)
INVALID_CERTIFICATE = ProblemCode(
    "InvalidCertificate",
    "A Secret that was good has been replaced by one that holds no key pair Envoy accepts: the last good content is "
    "served.",
    "Put a matching PEM certificate and key into tls.crt and tls.key.",
)
CERTIFICATE_EXPIRED = ProblemCode(
    "CertificateExpired",
    "The certificate in a Secret that is served has expired: clients refuse it. It is served all the same.",
    "Renew the certificate.",
)
CERTIFICATE_EXPIRES_SOON = ProblemCode(
    "CertificateExpiresSoon",
    "The certificate in a Secret that is served expires within two weeks.",
    "Renew the certificate, or find out why what renews it has not.",
    Severity.WARNING,
)
DEFAULT_BACKEND_CONFLICT = ProblemCode(
    "DefaultBackendConflict",
    "Several Ingresses that share listeners have a default backend: requests for hosts that no Ingress names go to "
    "that of the oldest. Unmatched paths of its own hosts still go to that of each.",
    "Remove spec.defaultBackend from all but one.",
    Severity.WARNING,
)
EXTERNAL_NAME_REFUSED = ProblemCode(
    "ExternalNameRefused",
    "The Service is of type ExternalName, which is off, or its name leads back into this machine: requests answer 503.",
    "Use a Service with endpoints, or have ExternalName allowed by who runs nodegate.",
)
UNKNOWN_APP_PROTOCOL = ProblemCode(
    "UnknownAppProtocol",
    "The appProtocol of a Service's port is none that nodegate knows: HTTP/1.1 is spoken.",
    "Use http, kubernetes.io/h2c, kubernetes.io/ws, kubernetes.io/wss, https or grpc.",
    Severity.INFO,
)
UPSTREAM_NOT_VERIFIED = ProblemCode(
    "UpstreamNotVerified",
    "Connections to the endpoints of the Service are encrypted, but nobody checks who answers.",
    "Annotate the Service with nodegate.dev/upstream-ca and nodegate.dev/upstream-name.",
    Severity.WARNING,
)
UPSTREAM_CA_NOT_FOUND = ProblemCode(
    "UpstreamCANotFound",
    "The Secret that is to verify the endpoints does not exist or has no PEM certificates in ca.crt: requests answer "
    "503, as nobody who answers could be trusted.",
    "Create the Secret named by nodegate.dev/upstream-ca with a ca.crt in the Service's namespace.",
)
INVALID_SOURCE_RANGE = ProblemCode(
    "InvalidSourceRange",
    "A source range of a Service by which clients reach listeners cannot be read: it lets nobody in. The load "
    "balancer's addresses stay closed to all that no other range of the Service lets in.",
    "Write CIDRs such as 192.0.2.0/24 or 2001:db8::/32.",
)
SOURCE_RANGES_NOT_ENFORCED = ProblemCode(
    "SourceRangesNotEnforced",
    "With --expose host clients connect to ports of the nodes, where nothing asks whom the Service of the shared "
    "listeners lets in: its source ranges hold for its own addresses only.",
    "Say who may connect with the annotation nodegate.dev/allow-ranges of each Ingress, or close the nodes' ports to "
    "others with a firewall, and take the ranges off the Service.",
    Severity.WARNING,
)
INVALID_FRONTEND = ProblemCode(
    "InvalidFrontend",
    "An address of a Service by which clients reach listeners is none that they could connect to: it is left out.",
    "Correct the address; write one of the network, not 0.0.0.0, a loopback or a multicast address.",
)
FRONTEND_FAMILY_NOT_BOUND = ProblemCode(
    "FrontendFamilyNotBound",
    "An address of a Service by which clients reach listeners is of a family that listeners do not bind: it is left "
    "out, as connections to it would find no socket.",
    "Start nodegate with --address-family dual or the other family, or give the Service only addresses of this one.",
    Severity.WARNING,
)
FRONTEND_CONFLICT = ProblemCode(
    "FrontendConflict",
    "Two Services by which clients reach listeners have an address and port in common: its traffic goes to the "
    "listener of the older one.",
    "Give one of the two another address.",
)

CODES = (
    INGRESS_CLASS_UNKNOWN,
    INGRESS_CLASS_MISSING,
    NAMESPACE_TERMINATING,
    INVALID_NAME,
    EMPTY_INGRESS,
    INVALID_HOST,
    INVALID_PATH,
    PATH_TAKEN_LITERALLY,
    INVALID_PATH_TYPE,
    PATH_CONFLICT,
    RESOURCE_BACKEND,
    INVALID_BACKEND,
    SERVICE_NOT_FOUND,
    SERVICE_PORT_NOT_FOUND,
    NO_ENDPOINTS,
    INVALID_ENDPOINT,
    ADDRESS_TYPE_NOT_SERVED,
    UNKNOWN_ANNOTATION,
    INVALID_ANNOTATION,
    CERTIFICATE_NOT_SERVED,
    CERTIFICATE_CONFLICT,
    INVALID_CERTIFICATE,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_EXPIRES_SOON,
    DEFAULT_BACKEND_CONFLICT,
    EXTERNAL_NAME_REFUSED,
    UNKNOWN_APP_PROTOCOL,
    UPSTREAM_NOT_VERIFIED,
    UPSTREAM_CA_NOT_FOUND,
    INVALID_SOURCE_RANGE,
    SOURCE_RANGES_NOT_ENFORCED,
    INVALID_FRONTEND,
    FRONTEND_FAMILY_NOT_BOUND,
    FRONTEND_CONFLICT,
)

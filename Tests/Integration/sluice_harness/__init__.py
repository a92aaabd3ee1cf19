"""What the integration tests stand on: the daemon as a process, a client and a backend with control of every byte."""

from . import names
from .backend import Backend, BackendConnection, Request, reply
from .bystander import Bystander
from .client import Connection, Malformed, Response, Truncated, request_bytes
from .certificates import Authority, Certificate, Certificates
from .h2_backend import H2Backend, H2Stream
from .h2_client import H2Client, H2Response, StreamReset
from .load import SteadyLoad
from .process import Gateway, sluice_binary
from .process_backend import ProcessBackend
from .tls import TLSSocket, client_context, refusal, server_context, tls_connect
from .waiting import deadline, stands_still, until
from .yaml import dump as yaml_dump

__all__ = [
    "Authority", "Backend", "BackendConnection", "Bystander", "Certificate", "Certificates", "Connection", "Gateway", "H2Backend", "H2Client", "H2Response",
    "H2Stream", "Malformed", "ProcessBackend", "Request", "Response", "SteadyLoad", "StreamReset", "TLSSocket", "Truncated",
    "client_context", "deadline", "names", "refusal", "reply", "request_bytes", "server_context", "sluice_binary", "stands_still", "tls_connect", "until", "yaml_dump",
]

"""What the integration tests stand on: the daemon as a process, a client and a backend with control of every byte."""

from .backend import Backend, BackendConnection, Request, reply
from .client import Connection, Malformed, Response, Truncated, request_bytes
from .load import SteadyLoad
from .process import Gateway, sluice_binary
from .process_backend import ProcessBackend
from .waiting import deadline, until
from .yaml import dump as yaml_dump

__all__ = [
    "Backend", "BackendConnection", "Connection", "Gateway", "Malformed", "ProcessBackend", "Request", "Response", "SteadyLoad",
    "Truncated", "deadline", "reply", "request_bytes", "sluice_binary", "until", "yaml_dump",
]

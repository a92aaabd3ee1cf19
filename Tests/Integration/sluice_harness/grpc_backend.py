"""A gRPC server and its clients without generated code: messages are bytes, methods are generic handlers."""

import os
import threading
from concurrent import futures

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402

from .waiting import SCALE  # noqa: E402

SERVICE = "sluice.test.Echo"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0),
           ("grpc.so_reuseport", 0)]
HEALTH = "/grpc.health.v1.Health/Check"
SERVING, NOT_SERVING = 1, 2
UNARY = f"/{SERVICE}/Unary"
CALL = [("content-type", "application/grpc"), ("te", "trailers")]


def message(data: bytes = b"hello") -> bytes:
    """A message as it stands in the body: not compressed, its length, its bytes."""
    return b"\x00" + len(data).to_bytes(4, "big") + data


class GrpcBackend:
    """Methods of sluice.test.Echo:

    Unary         returns the message; metadata tell it what else to do: `want-status` (a number), `want-message-bin` (UTF-8), `want-delay` (s), `want-trailer`,
                  `want-details-bin` (sent as grpc-status-details-bin)
    ServerStream  the message is a count: so many messages, each its number; `stay` (metadata): it goes on until it is cancelled
    ClientStream  returns the number of messages and of their bytes
    Bidi          returns each message as it comes; `fail-after` (metadata): so many, and then status 10; `stay` as above
    Hang          unary, returns when it is cancelled
    And grpc.health.v1.Health/Check, which says `health[service]`, or status 5 where it is not known.
    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None, name: str = ""):
        self.name = name
        self.violations: list[str] = []
        self.calls: list[tuple[str, dict, float | None]] = []      # method, metadata, seconds left at its start
        self.cancelled: list[str] = []
        self.health = {"": SERVING}
        self.health_asked: list[str] = []
        self.changed = threading.Condition()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=OPTIONS)
        self.server.add_generic_rpc_handlers((self,))
        self.tls = credentials is not None
        self.port = (self.server.add_secure_port("127.0.0.1:0", credentials) if credentials
                     else self.server.add_insecure_port("127.0.0.1:0"))
        self.server.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def protocol(self) -> str:
        return "h2" if self.tls else "h2c"

    # grpc.GenericRpcHandler

    def service(self, details):
        known = {
            f"/{SERVICE}/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            f"/{SERVICE}/ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
            f"/{SERVICE}/ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
            f"/{SERVICE}/Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
            f"/{SERVICE}/Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            HEALTH: grpc.unary_unary_rpc_method_handler(self.check),
        }
        return known.get(details.method)

    def service_name(self):
        return None

    def note(self, method: str, context) -> dict:
        metadata = {key: value for key, value in context.invocation_metadata()}
        with self.changed:
            self.calls.append((method, metadata, context.time_remaining()))
            self.changed.notify_all()

        def ended():
            if not context.code():
                with self.changed:
                    self.cancelled.append(method)
                    self.changed.notify_all()
        context.add_callback(ended)
        return metadata

    @staticmethod
    def stay(wants, context):
        """Waits for the end of the call where it is to stay. Of a cancelled one the messages just end, as those of any other."""
        if "stay" in wants:
            gone = threading.Event()
            if context.add_callback(gone.set):
                gone.wait(60)
        else:
            context.set_code(grpc.StatusCode.OK)

    def unary(self, message, context):
        wants = self.note("Unary", context)
        if "want-delay" in wants:
            with self.changed:
                self.changed.wait_for(lambda: not context.is_active(), float(wants["want-delay"]))
        if "want-trailer" in wants:
            context.set_trailing_metadata((("got-trailer", wants["want-trailer"]), ("got-trailer-bin", b"\x00\x01\xff")))
        if "want-details-bin" in wants:
            context.set_trailing_metadata((("grpc-status-details-bin", wants["want-details-bin"]),))
        context.send_initial_metadata((("got-initial", "yes"), ("got-initial-bin", bytes(range(256)))))
        if "want-status" in wants:
            context.abort(STATUS[int(wants["want-status"])], wants.get("want-message-bin", b"as told").decode())
        context.set_code(grpc.StatusCode.OK)
        return message

    def server_stream(self, message, context):
        wants = self.note("ServerStream", context)
        for number in range(int(message)):
            yield b"%d" % number
        self.stay(wants, context)

    def client_stream(self, messages, context):
        self.note("ClientStream", context)
        count = size = 0
        for message in messages:
            count += 1
            size += len(message)
        context.set_code(grpc.StatusCode.OK)
        return b"%d %d" % (count, size)

    def bidi(self, messages, context):
        wants = self.note("Bidi", context)
        count = 0
        for message in messages:
            yield message
            count += 1
            if count == int(wants.get("fail-after", 0)):
                context.abort(grpc.StatusCode.ABORTED, "enough")
        self.stay(wants, context)

    def hang(self, message, context):
        self.note("Hang", context)
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(60)
        return b""

    def check(self, message, context):
        # HealthCheckRequest: field 1, the service's name.
        service = message[2:2 + message[1]].decode() if len(message) > 1 else ""
        with self.changed:
            self.health_asked.append(service)
            self.changed.notify_all()
        if service not in self.health:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return bytes([0x08, self.health[service]])

    def wait_for(self, condition, seconds: float = 5.0, what: str = ""):
        with self.changed:
            assert self.changed.wait_for(condition, seconds * SCALE), f"gRPC backend: not within {seconds} s: {what}; saw {self.calls}"

    def stop(self):
        self.server.stop(0).wait(5)


STATUS = {code.value[0]: code for code in grpc.StatusCode}


def grpc_server(world, pki=None, **more) -> GrpcBackend:
    """One that ends with the world; over TLS where there is a `pki`."""
    credentials = grpc.ssl_server_credentials([(pki.backend.key_pem, pki.backend.pem)]) if pki else None
    made = GrpcBackend(credentials, **more)
    world.backends.append(made)
    return made


class Calls:
    """A client of sluice.test.Echo on a channel of its own."""

    def __init__(self, target: str, ca_pem: bytes | None = None, name: str | None = None, certificate=None):
        # What the client would repeat by itself, the gateway could not be seen to fail.
        options = [*OPTIONS, ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        if name:
            options += [("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]
        if ca_pem is not None:
            credentials = grpc.ssl_channel_credentials(
                ca_pem, certificate.key_pem if certificate else None, certificate.pem if certificate else None)
            self.channel = grpc.secure_channel(target, credentials, options)
        else:
            self.channel = grpc.insecure_channel(target, options)
        self.unary = self.channel.unary_unary(f"/{SERVICE}/Unary")
        self.server_stream = self.channel.unary_stream(f"/{SERVICE}/ServerStream")
        self.client_stream = self.channel.stream_unary(f"/{SERVICE}/ClientStream")
        self.bidi = self.channel.stream_stream(f"/{SERVICE}/Bidi")
        self.hang = self.channel.unary_unary(f"/{SERVICE}/Hang")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

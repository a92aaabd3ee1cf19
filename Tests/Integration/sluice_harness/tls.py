"""TLS for the tests: contexts, and a socket whose two directions may be used by two threads.

OpenSSL works on memory here and the bytes go over the plain socket below, so that a test can cut, delay or change them.
"""

import errno
import socket
import ssl
import threading

from .certificates import Certificate


def client_context(ca_file: str | None = None, alpn=(), certificate: Certificate | None = None, version=None, ciphers: str | None = None,
                   verify: bool = True) -> ssl.SSLContext:
    """A client's context; without `ca_file` or with `verify=False` it takes any certificate. `version` is its only version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if ca_file and verify:
        context.load_verify_locations(ca_file)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if certificate:
        context.load_cert_chain(certificate.cert_file, certificate.key_file)
    if version:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def server_context(certificate: Certificate, alpn=(), client_ca: str | None = None, version=None) -> ssl.SSLContext:
    """A backend's context; `client_ca` makes a client certificate a duty."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TLSSocket:
    """A TLS connection over a connected socket, with the methods of a socket that the harness uses."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, server_name: str | None = None, session=None, server: bool = False,
                 handshake: bool = True):
        self.raw = raw
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.server_name_seen: str | None = None
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_side=server, server_hostname=server_name, session=session)
        self.lock = threading.Lock()          # around the TLS object
        self.send_lock = threading.Lock()     # around the order of what is sent
        self.peer_said_goodbye = False        # close_notify came before the end
        self.truncated = False                # the end came without it
        if handshake:
            self.do_handshake()

    def do_handshake(self):
        while True:
            try:
                with self.lock:
                    self.object.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                data = self.raw.recv(65536)
                if not data:
                    raise ssl.SSLEOFError("the peer closed during the handshake") from None
                self.incoming.write(data)
            except ssl.SSLError:
                self.flush()    # the alert
                raise
        self.flush()

    def flush(self):
        with self.send_lock:
            with self.lock:
                data = self.outgoing.read()
            if data:
                self.raw.sendall(data)

    def sendall(self, data: bytes):
        view = memoryview(data)
        with self.send_lock:
            for at in range(0, len(view), 65536):
                with self.lock:
                    self.object.write(view[at:at + 65536])
                    encrypted = self.outgoing.read()
                self.raw.sendall(encrypted)

    def recv(self, count: int, flags: int = 0) -> bytes:
        """As of a socket; MSG_PEEK only tells whether the connection still stands."""
        if flags & socket.MSG_PEEK:
            return self.raw.recv(1, flags)
        while True:
            try:
                with self.lock:
                    data = self.object.read(count)
                if data:
                    return data
                self.peer_said_goodbye = True
                return b""
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                self.peer_said_goodbye = True
                return b""
            except ssl.SSLError as error:
                if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
                    self.truncated = True
                    return b""
                raise
            self.flush()
            data = self.raw.recv(65536)
            with self.lock:
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def say_goodbye(self):
        """Sends close_notify and goes on reading."""
        with self.lock:
            try:
                self.object.unwrap()
            except ssl.SSLError:
                pass
        try:
            self.flush()
        except OSError:
            pass

    def shutdown(self, how):
        """Sends close_notify first, where the sending side ends."""
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            self.say_goodbye()
        try:
            self.raw.shutdown(how)
        except OSError as error:
            # close_notify is the end by itself, and the other side may already have closed upon it.
            if error.errno != errno.ENOTCONN:
                raise

    def close(self):
        self.say_goodbye()
        self.raw.close()

    def truncate(self):
        """Ends the connection without close_notify, with a FIN."""
        self.raw.shutdown(socket.SHUT_RDWR)
        self.raw.close()

    def settimeout(self, seconds):
        self.raw.settimeout(seconds)

    def setblocking(self, flag):
        self.raw.setblocking(flag)

    def setsockopt(self, *arguments):
        self.raw.setsockopt(*arguments)

    def getsockname(self):
        return self.raw.getsockname()

    def fileno(self):
        return self.raw.fileno()

    # What was agreed

    @property
    def version(self) -> str:
        return self.object.version()

    @property
    def cipher(self) -> str:
        return self.object.cipher()[0]

    @property
    def alpn(self) -> str | None:
        return self.object.selected_alpn_protocol()

    @property
    def session(self):
        return self.object.session

    @property
    def resumed(self) -> bool:
        return bool(self.object.session_reused)

    @property
    def peer_der(self) -> bytes | None:
        return self.object.getpeercert(binary_form=True)


def tls_connect(address, context: ssl.SSLContext, server_name: str | None = None, session=None, timeout: float = 10,
                handshake: bool = True, source: str | None = None) -> TLSSocket:
    """Connects and shakes hands. Raises ssl.SSLError, or ConnectionError, where the peer refuses."""
    raw = socket.create_connection(address, timeout, source_address=(source, 0) if source else None)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return TLSSocket(raw, context, server_name, session, handshake=handshake)
    except BaseException:
        raw.close()
        raise


def refusal(address, context: ssl.SSLContext, server_name: str | None = None, **more) -> str:
    """How the peer refuses this handshake: the alert's name, "reset" or "closed". Under TLS 1.3 a refusal of the client's certificate
    comes after the client has finished, so a byte is read, too."""
    try:
        made = tls_connect(address, context, server_name, **more)
    except ssl.SSLError as error:
        return reason_of(error)
    except ConnectionResetError:
        return "reset"
    try:
        made.settimeout(5)
        data = made.recv(1)
        if data:
            return f"taken: it answered {data!r}"
        return "closed"
    except ssl.SSLError as error:
        return reason_of(error)
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "taken"
    finally:
        made.raw.close()


def reason_of(error: ssl.SSLError) -> str:
    """In lower case with underscores, whether this Python's ssl module knows a name for it or passes OpenSSL's words on."""
    if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
        return "closed"
    return (error.reason or str(error)).lower().replace(" ", "_")

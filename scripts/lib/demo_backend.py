"""A backend to try the gateway with: answers every request with JSON that tells what arrived.

    python3 demo_backend.py NAME PORT
"""
import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "demo"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        received = len(self.rfile.read(length))
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            received = self.read_chunks()
        body = json.dumps({
            "backend": self.server.backend_name,
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers.items()),
            "body_bytes": received,
        }, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def read_chunks(self):
        total = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            total += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return total

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    name, port = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)    # Ctrl-C goes to the whole group; the script that started us decides
    try:
        server = Server(("127.0.0.1", port), Handler)
    except OSError as error:
        sys.exit(f"demo backend {name}: port {port}: {error.strerror}")
    server.backend_name = name
    server.serve_forever()


if __name__ == "__main__":
    main()

"""What stands behind each cloud here: containers by podman, and servers that answer JSON with JSON."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Containers:
    """Starts containers by `podman run` and its options."""

    def __init__(self, podman):
        self.podman = podman

    def start(self, name, options, variables, image, words):
        """Starts one, whose standard error is passed on by its name, and returns its process."""
        given = [word for pair in variables.items() for word in ("--env", "=".join(pair))]
        command = [*self.podman, *options, *given, image, *words]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=pass_on, args=(name, process.stderr), daemon=True).start()
        return process


def pass_on(name, stream):
    for line in stream:
        sys.stderr.write("[%s] %s" % (name, line))


def serve(answer):
    """Serves `answer(method, path, query, body)`, a status and a document, and returns where."""

    class Handler(BaseHTTPRequestHandler):
        def answered(self):
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or b"{}")
            asked = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(asked.query).items()}
            status, document = answer(self.command, asked.path, query, body)
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = answered

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d" % server.server_address[1]

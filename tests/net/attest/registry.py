"""As much of an OCI registry as cosign and oras need; referrers are left to the clients."""

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOBS, MANIFESTS = {}, {}


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, content=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def missing(self):
        self.answer(404, b'{"errors":[{"code":"NOT_FOUND"}]}', Content_Type="application/json")

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/v2/":
            return self.answer(200, b"{}")
        if path.endswith("/tags/list"):
            tags = sorted(tag for tag in MANIFESTS if not tag.startswith("sha256:"))
            content = json.dumps({"name": path.split("/")[2], "tags": tags}).encode()
            return self.answer(200, content, Content_Type="application/json")
        found = re.fullmatch(r"/v2/.+/(blobs|manifests)/([^/]+)", path)
        if not found:
            return self.missing()
        kind, name = found.groups()
        if kind == "blobs" and name in BLOBS:
            media_type, content = "application/octet-stream", BLOBS[name]
        elif kind == "manifests" and name in MANIFESTS:
            media_type, content = MANIFESTS[name]
        else:
            return self.missing()
        self.answer(200, content, Content_Type=media_type, Docker_Content_Digest=digest(content))

    do_HEAD = do_GET

    def do_POST(self):
        self.body()
        self.server.uploads += 1
        place = f"{self.path.split('?')[0].rstrip('/')}/{self.server.uploads}"
        self.answer(202, Location=place, Range="0-0")

    def do_PATCH(self):
        place = self.path.split("?")[0]
        self.server.parts[place] = self.server.parts.get(place, b"") + self.body()
        self.answer(202, Location=place, Range=f"0-{len(self.server.parts[place]) - 1}")

    def do_PUT(self):
        content = self.body()
        found = re.fullmatch(r"/v2/.+/manifests/([^/]+)", self.path)
        if found:
            media_type = self.headers["Content-Type"]
            for name in (found.group(1), digest(content)):
                MANIFESTS[name] = (media_type, content)
        else:
            content = self.server.parts.pop(self.path.split("?")[0], b"") + content
            BLOBS[digest(content)] = content
        self.answer(201, Location=self.path, Docker_Content_Digest=digest(content))


server = ThreadingHTTPServer(("127.0.0.1", 5000), Registry)
server.uploads, server.parts = 0, {}
server.serve_forever()

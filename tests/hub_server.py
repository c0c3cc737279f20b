"""A stand-in of the Hugging Face hub: the part of its HTTP interface that uploads and downloads of a model use."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    is_private: bool
    branches: dict[str, str] = field(default_factory=dict)
    """The key is the name of a branch, the value its commit."""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """The key is a commit, the value its files."""

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        sha = hashlib.sha1(repr((branch, len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha

    def files(self, revision: str) -> dict[str, bytes]:
        return self.commits[self.branches.get(revision, revision)]


@dataclass
class Hub:
    """The repositories of the stand-in, and the token that it wants for a change."""

    token: str = "hf_right"
    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by their SHA-256."""


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.status, self.code, self.details = status, code, details


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    do_HEAD = do_GET  # noqa: N815  the library's names

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return self._answer(b"".join(parts))
        return self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_PUT = do_POST  # noqa: N815

    def _answer(self, body: bytes) -> None:
        try:
            status, found, headers = 200, self._route(unquote(urlsplit(self.path).path), body), {}
        except Refused as error:
            status, found = error.status, {"error": str(error), **error.details}
            headers = {"X-Error-Code": error.code, "X-Error-Message": str(error)}
        if isinstance(found, tuple):
            found, headers = found
        data = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _route(self, path: str, body: bytes) -> Any:
        is_allowed = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        if self.command == "POST" and path != "/api/validate-yaml" and not is_allowed:
            raise Refused(401, "", "Invalid username or password.")
        for pattern, answer in ROUTES:
            if found := re.fullmatch(pattern, path):
                return answer(self, body, *found.groups())
        raise Refused(404, "RepoNotFound", f"nothing at {path}")

    def _repository(self, name: str) -> Repository:
        found = self.hub.repositories.get(name)
        if found is None or (
            found.is_private and self.headers.get("Authorization") != f"Bearer {self.hub.token}"
        ):
            raise Refused(404, "RepoNotFound", "Repository Not Found")
        return found

    def validate(self, body: bytes) -> Any:
        return {"warnings": [], "errors": []}

    def create(self, body: bytes) -> Any:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            raise Refused(409, "", "You already created this model repo", url=f"{self.hub.url}/{name}")
        repository = Repository(asked.get("visibility") == "private" or bool(asked.get("private")))
        repository.commit("main", {".gitattributes": b""})
        self.hub.repositories[name] = repository
        return {"url": f"{self.hub.url}/{name}", "name": name}

    def branch(self, body: bytes, name: str, branch: str) -> Any:
        repository = self._repository(name)
        if branch in repository.branches:
            raise Refused(409, "", "Reference already exists")
        repository.branches[branch] = repository.branches["main"]
        return {}

    def info(self, body: bytes, name: str, revision: str = "main") -> Any:
        repository = self._repository(name)
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        siblings = [{"rfilename": path} for path in sorted(repository.commits[sha])]
        return {"id": name, "sha": sha, "private": repository.is_private, "siblings": siblings, "tags": []}

    def tree(self, body: bytes, name: str, revision: str) -> Any:
        self.info(body, name, revision)
        files = self._repository(name).files(revision)
        return [
            {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for path, content in sorted(files.items())
        ]

    def preupload(self, body: bytes, name: str, revision: str) -> Any:
        is_large = re.compile(r".*\.(safetensors|onnx|gguf|bin)").fullmatch
        return {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if is_large(file["path"]) else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(body)["files"]
            ]
        }

    def batch(self, body: bytes, name: str) -> Any:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/objects/{each['oid']}"}}}
            for each in json.loads(body)["objects"]
        ]
        return {"transfer": "basic", "objects": objects}

    def put(self, body: bytes, oid: str) -> Any:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        return b""

    def commit(self, body: bytes, name: str, branch: str) -> Any:
        repository = self._repository(name)
        files = dict(repository.files(branch))
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(branch, files)
        return {"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha, "hookOutput": ""}

    def resolve(self, body: bytes, name: str, revision: str, path: str) -> Any:
        files = self._repository(name).files(revision)
        if path not in files:
            raise Refused(404, "EntryNotFound", f"{path} does not exist")
        content = files[path]
        return content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": revision}


_NAME = "([^/]+/[^/]+)"
ROUTES = (
    ("/api/validate-yaml", Handler.validate),
    ("/api/repos/create", Handler.create),
    (f"/api/models/{_NAME}/branch/(.+)", Handler.branch),
    (f"/api/models/{_NAME}/revision/(.+)", Handler.info),
    (f"/api/models/{_NAME}/tree/(.+)", Handler.tree),
    (f"/api/models/{_NAME}/preupload/(.+)", Handler.preupload),
    (f"/api/models/{_NAME}/commit/(.+)", Handler.commit),
    (f"/api/models/{_NAME}", Handler.info),
    (rf"/{_NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("/objects/(.+)", Handler.put),
    (f"/{_NAME}/resolve/([^/]+)/(.+)", Handler.resolve),
)


@contextmanager
def run_hub() -> Iterator[Hub]:
    """Serve an empty hub on a free port of this machine."""
    hub = Hub()
    handler = type("HubHandler", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()

"""A Hub for model repositories on this machine: what huggingface_hub needs to write and read them over plain HTTP."""

import base64
import hashlib
import json
import queue
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hub.card_rules import card_faults

Files = dict[str, bytes]
LFS_SUFFIXES = (".safetensors", ".onnx", ".png")
ROUTES = (
    (("GET",), r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<revision>[^/]+)", "preupload"),
    ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<revision>[^/]+)", "commit"),
    ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/(?:branch|tag)/(?P<name>[^/]+)", "name_commit"),
    ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/lfs/(?P<digest>\w+)", "store"),
    ("POST", r"/lfs/verify", "verify"),
    ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)", "tree"),
    ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?", "info"),
    ("HEAD|GET", r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
)


@dataclass
class Repository:
    """Commits by id, and the names that point to them."""

    private: bool
    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def add(self, revision: str, files: Files, message: str) -> str:
        commit = hashlib.sha1(f"{len(self.commits)} {message}".encode()).hexdigest()
        self.commits[commit] = files
        self.refs[revision] = commit
        self.messages.append(message)
        return commit

    def find(self, revision: str) -> str | None:
        commit = self.refs.get(revision, revision)
        return commit if commit in self.commits else None


@dataclass
class LoopbackHub:
    """The state of the Hub, for tests to look at."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    failures_left: int = 0
    """How many uploads of large files to answer with 503 first."""
    cuts_left: int = 0
    """How many uploads of large files to cut off in the middle first."""
    uploads_before_stall: int | None = None
    """After so many large files have arrived or begun, the next ones get stuck in the middle; None: never."""
    events: "queue.Queue[str]" = field(default_factory=queue.Queue)
    """`stored SHA256` and `stalled` as they happen."""
    released: threading.Event = field(default_factory=threading.Event)
    """Set it to let go of what is stuck."""
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    hub = LoopbackHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._route()

    do_POST = do_PUT = do_HEAD = do_GET

    def _route(self) -> None:
        if self.command == "PUT" and self._breaks_off():
            return
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0]
        routes = ((name, re.fullmatch(pattern, path)) for methods, pattern, name in ROUTES if self.command in methods)
        name, match = next(((name, match) for name, match in routes if match), ("", None))
        if match is None:
            self._reply(404, {"error": f"no route {self.command} {self.path}"})
            return
        found = {key: value.replace("%2F", "/") for key, value in match.groupdict().items() if value is not None}
        if self.command in {"POST", "PUT"} and name not in {"store", "validate"} and not self._authorized():
            self._reply(401, {"error": "a write needs a token"})
        elif "repo" in found and not self._visible(found["repo"]):
            self._reply(404, {"error": "Repository not found"}, **{"X-Error-Code": "RepoNotFound"})
        elif "revision" in found and self.hub.repositories[found["repo"]].find(found["revision"]) is None:
            self._reply(404, {"error": "Revision not found"}, **{"X-Error-Code": "RevisionNotFound"})
        else:
            getattr(self, f"_{name}")(**found)

    def _breaks_off(self) -> bool:
        """Whether this upload ends in the middle."""
        with self.hub.lock:
            is_cut, is_stuck = self.hub.cuts_left > 0, self.hub.uploads_before_stall == 0
            self.hub.cuts_left -= is_cut
            if self.hub.uploads_before_stall:
                self.hub.uploads_before_stall -= 1
        if not is_cut and not is_stuck:
            return False
        self.rfile.read(int(self.headers["Content-Length"]) // 2)
        if is_stuck:
            self.hub.events.put("stalled")
            self.hub.released.wait()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
        return True

    def _authorized(self) -> bool:
        return self.headers.get("Authorization") == "Bearer hf_loopback"

    def _visible(self, repo: str) -> bool:
        repository = self.hub.repositories.get(repo)
        return repository is not None and (self._authorized() or not repository.private)

    def _whoami(self) -> None:
        if self._authorized():
            self._reply(200, {"type": "user", "name": "me", "orgs": [{"name": "our-lab"}]})
        else:
            self._reply(401, {"error": "Invalid credentials"})

    def _create(self) -> None:
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"{self.hub.endpoint}/{repo}"
        if repo in self.hub.repositories:
            self._reply(409, {"error": "You already created this model repo", "url": url})
            return
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.hub.repositories[repo] = Repository(private=private)
        self.hub.repositories[repo].add("main", {".gitattributes": b""}, "initial commit")
        self._reply(200, {"url": url, "name": repo})

    def _validate(self) -> None:
        errors = [{"message": message} for message in card_faults(json.loads(self.body)["content"])]
        self._reply(400 if errors else 200, {"errors": errors, "warnings": []})

    def _preupload(self, repo: str, revision: str) -> None:
        files = [
            {"path": path, "uploadMode": "lfs" if path.endswith(LFS_SUFFIXES) else "regular", "shouldIgnore": False}
            for path in (item["path"] for item in json.loads(self.body)["files"])
        ]
        self._reply(200, {"files": files, "commitOid": self.hub.repositories[repo].find(revision)})

    def _batch(self, repo: str) -> None:
        del repo
        actions = {"verify": {"href": f"{self.hub.endpoint}/lfs/verify"}}
        objects = [
            {**item, "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{item['oid']}"}, **actions}}
            if item["oid"] not in self.hub.objects
            else item
            for item in json.loads(self.body)["objects"]
        ]
        self._reply(200, {"transfer": "basic", "objects": objects})

    def _store(self, digest: str) -> None:
        if self.hub.failures_left:
            self.hub.failures_left -= 1
            self._reply(503, {"error": "busy"})
        elif hashlib.sha256(self.body).hexdigest() != digest:
            self._reply(400, {"error": "the content does not have the announced sha256"})
        else:
            self.hub.objects[digest] = self.body
            self.hub.events.put(f"stored {digest}")
            self._reply(200, {})

    def _verify(self) -> None:
        asked = json.loads(self.body)
        stored = self.hub.objects.get(asked["oid"], b"")
        self._reply(200 if len(stored) == asked["size"] else 404, {})

    def _commit(self, repo: str, revision: str) -> None:
        repository = self.hub.repositories[repo]
        files = dict(repository.commits[repository.refs[revision]])
        message = ""
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
        commit = repository.add(revision, files, message)
        url = f"{self.hub.endpoint}/{repo}/commit/{commit}"
        self._reply(200, {"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def _name_commit(self, repo: str, name: str) -> None:
        repository = self.hub.repositories[repo]
        if name in repository.refs:
            self._reply(409, {"error": "Reference already exists"})
            return
        repository.refs[name] = repository.refs["main"]
        self._reply(200, {})

    def _info(self, repo: str, revision: str = "main") -> None:
        repository = self.hub.repositories[repo]
        commit = repository.find(revision) or ""
        siblings = [{"rfilename": path} for path in repository.commits[commit]]
        self._reply(200, {"id": repo, "sha": commit, "private": repository.private, "siblings": siblings})

    def _tree(self, repo: str, revision: str) -> None:
        repository = self.hub.repositories[repo]
        files = repository.commits[repository.find(revision) or ""]
        entries = [
            {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for path, content in files.items()
        ]
        self._reply(200, entries)

    def _resolve(self, repo: str, revision: str, path: str) -> None:
        repository = self.hub.repositories[repo]
        commit = repository.find(revision) or ""
        content = repository.commits[commit].get(path)
        if content is None:
            self._reply(404, {}, **{"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            tag = f'"{hashlib.sha256(content).hexdigest()}"'
            self._send(200, content, {"ETag": tag, "X-Repo-Commit": commit, "Accept-Ranges": "none"})

    def _reply(self, status: int, content: Any, **headers: str) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

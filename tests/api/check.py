"""check.py PROGRAMS EXAMPLES run|host: bad input for an operator's API, and its metrics read by another's parser."""

import contextlib
import os
import pathlib
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

HERE = pathlib.Path(__file__).resolve().parent
HOOKS = {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}

RULES = """version: "1"
rules:
  - id: no-admin
    action: block
    condition: http.path.startsWith("/admin")
  - id: web
    action: allow
    condition: http.host.endsWith(".example")
"""

# `positive_data_acceptance`: a schema cannot say what a host name is, which layer follows from which fields, or which rules there
# are, so some of what it allows is refused, with 400 or 404 and the reason. `not_a_server_error`: `hooks.py` has one that knows 503.
WITHOUT = "positive_data_acceptance,not_a_server_error"


class Forwarder(socketserver.ThreadingTCPServer):
    """Carries what speaks TCP alone to the unix socket, byte for byte."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path):
        self.path = path
        super().__init__(("127.0.0.1", 0), Connection)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(self.server.path)
            back = threading.Thread(target=copy, args=(there, self.request), daemon=True)
            back.start()
            copy(self.request, there)
            back.join()


def copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def metrics(url):
    with urllib.request.urlopen(url + "/metrics", timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        families = list(text_string_to_metric_families(answer.read().decode()))
    assert len(families) > 20, families
    print(f"api: {len(families)} metric families")


@contextlib.contextmanager
def serving(programs, home, mode):
    """An outcalld that serves at `home/s` while it is used."""
    rules = home / "rules.yaml"
    rules.write_text(RULES)
    outcall, path, log = str(programs / "outcall"), str(home / "s"), str(home / "log")
    dns = ["--dns-upstream", "127.0.0.1:9"]
    if mode == "run":
        command = [outcall, "run", "--socket", path, "--quiet", *dns, "--log", log, "--rules", str(rules)]
        command += ["--", "sh", "-c", "read go"]
    else:
        artifacts = str(home / "dist")
        subprocess.run([outcall, "compile", str(rules), "-o", artifacts], check=True, stdout=subprocess.DEVNULL)
        command = [str(programs / "outcalld"), "--artifacts", artifacts, "--socket", path, *dns, "--log", log]
        command += ["--state-dir", str(home / "state"), "--agent-socket", str(home / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as there:
                    there.connect(path)
                    break
                assert process.poll() is None, "it does not start"
                time.sleep(0.05)
            yield path
            assert process.poll() is None, "it still runs"
        finally:
            process.stdin.close()
            if mode == "host":
                process.terminate()


def main(programs, examples, mode):
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        with serving(pathlib.Path(programs), home, mode) as path:
            url = f"http://127.0.0.1:{Forwarder(path).server_address[1]}"
            metrics(url)
            with urllib.request.urlopen(url + "/api/v1/openapi.json", timeout=30) as answer:
                (home / "openapi.json").write_bytes(answer.read())
            # Events have no end, so they are left out.
            done = subprocess.run(
                [str(pathlib.Path(sys.executable).with_name("schemathesis")), "run", str(home / "openapi.json"),
                 "--url", url, "--checks", "all", "--exclude-checks", WITHOUT, "--exclude-path", "/api/v1/events",
                 "--max-examples", examples, "--request-timeout", "30", "--continue-on-failure",
                 "--phases", "examples,coverage,fuzzing", "--no-color"],
                cwd=home, check=False, env={**os.environ, **HOOKS},
            )
            metrics(url)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

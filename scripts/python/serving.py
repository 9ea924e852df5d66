"""What `keystead serve` costs: CPU for a GET, how long answers take, and memory, idle and after floods.

CPU is what the kernel's scheduler accounts to the server's threads, system time included. The load
generator runs on the same cores.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import time
import urllib.request

# CPU in µs and answers in ms, as the project promises them for a quiet machine; memory in MiB.
LIMITS = {"keep-alive": 14.0, "p99": 1.5, "idle": 5.0}
# AWS's helper on a quiet machine. For new connections there is no figure of it.
HELPER = {"keep-alive": 36.0, "p99": 4.7, "idle": 14.5, "after tokens": 122.0}
GETS, NEW, FLOOD, TOKENS, HALF_OPEN = 50_000, 10_000, 1_000_000, 150_000, 200
ROUNDS = 5


class Server:
    """A server with a session, its endpoints, and what it has used."""

    def __init__(self, program, folder, arguments, environment):
        self.token_file = folder / "serve.token"
        command = [program, "serve", *arguments, "--listen", "127.0.0.1:0", "--imds=127.0.0.1:0", "--token-file", self.token_file]
        self.process = subprocess.Popen(
            [str(word) for word in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        exports = {}
        while len(exports) < 3:
            line = self.process.stdout.readline()
            assert line, f"{command} ended"
            if found := re.match(r"export (\w+)=(.*)", line):
                exports[found[1]] = found[2]
        self.container = exports["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        self.imds = exports["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rstrip("/")
        self.authorization = f"Authorization: {self.token_file.read_text()}"
        self.tasks = pathlib.Path(f"/proc/{self.process.pid}/task")

    def cpu(self):
        """Nanoseconds of all threads so far."""
        return sum(int((task / "schedstat").read_text().split()[0]) for task in self.tasks.iterdir())

    def credentials(self):
        """Those of the container endpoint."""
        name, _, value = self.authorization.partition(": ")
        with urllib.request.urlopen(urllib.request.Request(self.container, headers={name: value.strip()})) as answer:
            answer = answer.read()
        assert b"AccessKeyId" in answer, answer

    def memory(self):
        """MiB in memory."""
        status = (self.tasks.parent / "status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def running(*arguments):
    server = Server(*arguments)
    try:
        yield server
    finally:
        server.end()


class Load:
    def __init__(self, program, server):
        self.program, self.server = program, server

    def run(self, url, requests, *more):
        """The load generator's figures, and the server's CPU for one request in µs."""
        before = self.server.cpu()
        output = subprocess.run([self.program, url, "--requests", str(requests), *more], capture_output=True, text=True, check=True).stdout
        figures = json.loads(output)
        assert figures["errors"] == 0 and figures["requests"] == requests, figures
        figures["cpu_us"] = (self.server.cpu() - before) / requests / 1000
        return figures

    def get(self, requests, *more):
        return self.run(self.server.container, requests, "--header", self.server.authorization, "--expect", "AccessKeyId", *more)

    def tokens(self, requests):
        ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600"
        return self.run(f"{self.server.imds}/latest/api/token", requests, "--method", "PUT", "--header", ttl, "--connections", "16")


def half_open(server, load):
    """What 200 connections cost that never finish a request: MiB, and CPU in ms for a second."""
    host, port = re.match(r"http://([^:/]+):(\d+)", server.container).groups()
    idle = server.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(HALF_OPEN):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        load.get(1)
        before, since = server.cpu(), time.monotonic()
        time.sleep(1)
        used = (server.cpu() - before) / 1e6 / (time.monotonic() - since)
        return server.memory() - idle, used


def row(name, least, middle, limit, helper, unit):
    text = lambda value: f"{value:9.2f}" if value is not None else f"{'':9}"
    print(f"  {name:44}{text(least)}{text(middle)}{text(limit)}{text(helper)}  {unit}")


def measure(folder, arguments, environments):
    """`arguments` and `environments` by scheme: how the server gets its session."""
    print(f"\n{'keystead serve':46}{'min':>9}{'median':>9}{'limit':>9}{'helper':>9}")
    results = {}
    for scheme in ("https", "http"):
        with running(folder / "hub", folder, arguments[scheme], environments[scheme]) as server:
            Load(folder / "http-load", server).get(1)
            time.sleep(1)
            results[f"idle_mib_{scheme}"] = round(server.memory(), 2)
            row(f"memory, idle after a session over {scheme.upper()}", None, server.memory(), LIMITS["idle"], HELPER["idle"], "MiB")
    with running(folder / "hub", folder, arguments["http"], environments["http"]) as server:
        load = Load(folder / "http-load", server)
        load.get(1)
        for name, requests, more, limit, helper in (
            ("keep-alive", GETS, [], LIMITS["keep-alive"], HELPER["keep-alive"]),
            ("keep-alive, 16 connections", GETS, ["--connections", "16"], LIMITS["keep-alive"], HELPER["keep-alive"]),
            ("new connections", NEW, ["--new"], None, None),
            ("new connections, 16 at a time", NEW, ["--new", "--connections", "16"], None, None),
        ):
            rounds = [load.get(requests, *more) for _ in range(ROUNDS)]
            used = [figures["cpu_us"] for figures in rounds]
            slow = [figures["p99_us"] / 1000 for figures in rounds]
            results[name] = {
                "cpu_us_min": round(min(used), 2),
                "cpu_us_median": round(statistics.median(used), 2),
                "p99_ms_min": round(min(slow), 3),
                "p99_ms_median": round(statistics.median(slow), 3),
                "per_second_max": max(figures["per_second"] for figures in rounds),
            }
            row(f"CPU of a GET, {name}", min(used), statistics.median(used), limit, helper, "µs")
            if more == ["--connections", "16"]:
                row("p99 at 16 connections", min(slow), statistics.median(slow), LIMITS["p99"], HELPER["p99"], "ms")
        before = server.memory()
        memory, used = half_open(server, load)
        results["half_open"] = {"memory_mib": round(memory, 2), "cpu_ms_per_s": round(used, 3)}
        row(f"{HALF_OPEN} half-open connections, memory more", None, memory, None, None, "MiB")
        row(f"{HALF_OPEN} half-open connections, CPU in a second", None, used, None, None, "ms")
        for name, flood, helper in (
            (f"{FLOOD:,} requests", lambda: load.get(FLOOD, "--connections", "16"), None),
            (f"{TOKENS:,} IMDS tokens", lambda: load.tokens(TOKENS), HELPER["after tokens"]),
        ):
            flood()
            results[f"after {name}"] = {"before_mib": round(before, 2), "after_mib": round(server.memory(), 2)}
            row(f"memory after {name} (before: {before:.2f})", None, server.memory(), LIMITS["idle"], helper, "MiB")
    return results

"""What one credential-process costs, a signature in a token or a TPM, `serve`, uploads and the spool:
bench.py FOLDER-OF-PROGRAMS OUTPUT.json RUNS GROUP…

The server is a canned one in Python, in a process of its own: it answers every CreateSession alike,
so that nothing of keystead is on both sides. CPU is user and system time of the whole process, as the
kernel accounts it to the child; the minimum is what the program needs, the median what a busy machine
makes of it. Memory is the highest resident set, as GNU time reports it.
"""

import datetime
import http.server
import json
import multiprocessing
import os
import pathlib
import platform
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import pushing
import serving
import tokens
import tpms

FOLDER, OUTPUT, RUNS, GROUPS = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
SYSTEM_ROOTS = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
ACCOUNT = "arn:aws:rolesanywhere:eu-west-1:111122223333"
ROLE = "arn:aws:iam::111122223333:role/SensorWriter"
# CPU in ms, memory in MiB, size in MB, as the project promises them for a quiet machine.
LIMITS = {"one CA": 3.2, "system roots": 5.0, "http": 1.6, "cache hit": 1.5, "memory": 4.7, "memory of a hit": 4.0, "idle, static": 4.0, "round trips": 2}

# Stripped, in MB.
PROGRAMS = (
    ("minimal-aarch64-musl", "minimal, aarch64, static", 1.8),
    ("hub-aarch64-musl", "hub, aarch64, static", 3.0),
    ("hub-x86_64-musl", "hub, x86-64, static", 3.0),
    ("full-x86_64-gnu", "full, x86-64, the system's libc", 8.0),
)


def certificate(name, key, issuer, issuer_key, *extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in (name, issuer)]
    builder = x509.CertificateBuilder(*reversed(names), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def usage(**set_bits):
    bits = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**{bit: bit in set_bits for bit in bits.split()})


def make_files(folder):
    """An authority, a server certificate and a device certificate, all P-256."""
    authority, server, device = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    is_authority, is_none = x509.BasicConstraints(True, 0), x509.BasicConstraints(False, None)
    root = certificate("Bench CA", authority, "Bench CA", authority, is_authority, usage(key_cert_sign=True))
    name = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    signing = usage(digital_signature=True)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files = {
        "root.pem": root,
        "roots.pem": SYSTEM_ROOTS.read_bytes() + root,
        "server.pem": certificate("localhost", server, "Bench CA", authority, is_none, signing, name) + server.private_bytes(*form),
        "device.pem": certificate("hub-17", device, "Bench CA", authority, is_none, signing),
        "device.key": device.private_bytes(*form),
    }
    for file, contents in files.items():
        (folder / file).write_bytes(contents)
        (folder / file).chmod(0o600)


class CreateSession(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=30)
        credentials = {
            "accessKeyId": "ASIAEXAMPLEEXAMPLE00",
            "secretAccessKey": "x" * 40,
            "sessionToken": "x" * 900,
            "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = json.dumps({"credentialSet": [{"credentials": credentials, "roleArn": ROLE}]}).encode()
        head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.wfile.write(head.encode() + f"Date: {self.date_time_string()}\r\n\r\n".encode() + body)

    def log_message(self, *_):
        pass


def serve(folder, scheme, port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), CreateSession)
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        # The handshake belongs into the connection's thread, not between accepting two of them.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    port.put(server.server_port)
    server.serve_forever()


def start(folder, scheme):
    port = multiprocessing.Queue()
    multiprocessing.Process(target=serve, args=(folder, scheme, port), daemon=True).start()
    return port.get(timeout=10)


def flags(folder, endpoint, key=None):
    arguments = {
        "certificate": folder / "device.pem",
        "private-key": key or folder / "device.key",
        "trust-anchor-arn": f"{ACCOUNT}:trust-anchor/00000000-0000-4000-8000-000000000001",
        "profile-arn": f"{ACCOUNT}:profile/00000000-0000-4000-8000-000000000002",
        "role-arn": ROLE,
        "endpoint": endpoint,
    }
    return [str(word) for name, value in arguments.items() for word in (f"--{name}", value)]


def command(program, folder, endpoint, key=None):
    return [str(program), "credential-process", *flags(folder, endpoint, key)]


def cpu(arguments, environment):
    """Milliseconds of one run."""
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(arguments[0], arguments, environment, file_actions=nowhere)
    _, status, used = os.wait4(child, 0)
    assert status == 0, f"{arguments} failed"
    return (used.ru_utime + used.ru_stime) * 1000


def memory(arguments, environment):
    """MiB of one run. A small program has to be the parent: a child starts with its parent's peak."""
    run = subprocess.run(["time", "--format=%M", *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return int(run.stderr.split()[-1]) / 1024


def round_trips(arguments, environment, port):
    """How often the client waits for the server after connecting, seen by a relay between them."""
    listener = socket.create_server(("127.0.0.1", 0))
    turns = []

    def relay():
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", port))
        lock = threading.Lock()

        def pump(source, target, name):
            try:
                while data := source.recv(1 << 16):
                    with lock:
                        if not turns or turns[-1] != name:
                            turns.append(name)
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # One side has gone; what counts has been counted.

        back = threading.Thread(target=pump, args=(server, client, "server"))
        back.start()
        pump(client, server, "client")
        back.join()

    thread = threading.Thread(target=relay, daemon=True)
    thread.start()
    relayed = [word.replace(f":{port}", f":{listener.getsockname()[1]}") for word in arguments]
    subprocess.run(relayed, env=environment, stdout=subprocess.DEVNULL, check=True)
    thread.join(timeout=5)
    # A turn of the client that no answer follows is its goodbye.
    return turns.count("server")


def cache_hit(arguments, runtime):
    """CPU and memory of runs that find the credentials which the first one kept."""
    environment = {"XDG_RUNTIME_DIR": runtime}
    cpu(arguments, environment)
    shown = {**environment, "PATH": os.environ["PATH"]}
    hit = subprocess.run([*arguments, "--debug"], env=shown, capture_output=True, text=True, check=True)
    assert "--- cache: credentials that live" in hit.stderr, hit.stderr
    samples = [cpu(arguments, environment) for _ in range(RUNS)]
    peak = statistics.median(memory(arguments, shown) for _ in range(5))
    least, middle = min(samples), statistics.median(samples)
    print(f"  {'a hit in the cache':32}{least:8.2f}{middle:8.2f}{LIMITS['cache hit']:9.1f}{peak:8.2f}{LIMITS['memory of a hit']:9.1f}{0:7}{0:9}")
    return {"cpu_ms_min": round(least, 3), "cpu_ms_median": round(middle, 3), "memory_mib": round(peak, 2)}


def sessions(ports, ways):
    """Runs of `credential-process`, from one to the whole set of features."""
    results = {}
    print(f"{'':34}{'CPU ms':>16}{'':9}{'memory':>8}{'':9}{'round':>7}")
    print(f"{'':34}{'min':>8}{'median':>8}{'limit':>9}{'MiB':>8}{'limit':>9}{'trips':>7}{'limit':>9}")
    for name in ("minimal", "hub", "full"):
        program = FOLDER / name
        size = program.stat().st_size / 1e6
        measured = results[name] = {"size_mb": round(size, 2)}
        print(f"{name}: {size:.2f} MB stripped")
        for way, (scheme, environment, title) in ways.items():
            arguments = command(program, FOLDER, f"{scheme}://localhost:{ports[scheme]}")
            samples = [cpu(arguments, environment) for _ in range(RUNS)]
            peak = statistics.median(memory(arguments, {**environment, "PATH": os.environ["PATH"]}) for _ in range(5))
            trips = round_trips(arguments, environment, ports[scheme])
            least, middle = min(samples), statistics.median(samples)
            measured[way] = {"cpu_ms_min": round(least, 3), "cpu_ms_median": round(middle, 3), "memory_mib": round(peak, 2), "round_trips": trips}
            print(
                f"  {title:32}{least:8.2f}{middle:8.2f}{LIMITS[way]:9.1f}{peak:8.2f}{LIMITS['memory']:9.1f}"
                f"{trips:7}{LIMITS['round trips']:9}"
            )
        with tempfile.TemporaryDirectory(dir="/dev/shm") as runtime:
            measured["cache hit"] = cache_hit(command(program, FOLDER, f"http://localhost:{ports['http']}"), runtime)
    return results


def sizes(ports, ways):
    """The profiles' programs, and what the static one of a hub keeps in memory, which runs on this machine."""
    results = {}
    print(f"\n{'':34}{'':9}{'limit':>9}")
    row = lambda name, figure, limit, unit: print(f"  {name:32}{figure:9.2f}{limit:9.1f}  {unit}")
    for name, title, limit in PROGRAMS:
        results[name] = {"size_mb": round((FOLDER / name).stat().st_size / 1e6, 2)}
        row(title, results[name]["size_mb"], limit, "MB")
    static = FOLDER / "hub-x86_64-musl"
    for scheme, way in (("https", "system roots"), ("http", "http")):
        with serving.running(static, FOLDER, flags(FOLDER, f"{scheme}://localhost:{ports[scheme]}"), ways[way][1]) as server:
            server.credentials()
            time.sleep(1)
            results[f"idle_mib_{scheme}"] = round(server.memory(), 2)
            row(f"serve, static, idle after {scheme.upper()}", server.memory(), LIMITS["idle, static"], "MiB")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as runtime:
        results["cache hit"] = cache_hit(command(static, FOLDER, f"http://localhost:{ports['http']}"), runtime)
    return results


def with_tpm(endpoint):
    """Signatures in a TPM, cold and steady."""
    tpm = tpms.Tpm(FOLDER / "tpm")
    try:
        device = tpm.import_device_key(FOLDER / "device.key")
        return {
            "cold": tpms.cold(command(FOLDER / "hub", FOLDER, endpoint), command(FOLDER / "hub", FOLDER, endpoint, device), tpm, cpu, memory, RUNS),
            "idle": tpms.idle(serving.running, FOLDER / "hub", FOLDER, flags(FOLDER, endpoint), flags(FOLDER, endpoint, device), tpm),
            "commands": tpms.counts(FOLDER / "signing-tpm", tpm),
            "steady": tpms.steady(FOLDER / "signing-tpm", tpm),
        }
    finally:
        tpm.end()


def main():
    make_files(FOLDER)
    ports = {scheme: start(FOLDER, scheme) for scheme in ("http", "https")}
    roots = SYSTEM_ROOTS.read_text().count("BEGIN CERTIFICATE") + 1
    ways = {
        "one CA": ("https", {"AWS_CA_BUNDLE": str(FOLDER / "root.pem")}, "HTTPS, one CA certificate"),
        "system roots": ("https", {"SSL_CERT_FILE": str(FOLDER / "roots.pem")}, f"HTTPS, the system's roots ({roots})"),
        "http": ("http", {}, "HTTP"),
    }
    # What was measured of other groups before stays.
    kept = pathlib.Path(OUTPUT)
    results = json.loads(kept.read_text()) if kept.exists() else {}
    results.update(machine=platform.platform(), cpus=os.cpu_count(), load=os.getloadavg()[0], runs=RUNS)
    print(f"{RUNS} runs each against a canned server in Python; load {results['load']:.1f} on {results['cpus']} cores\n")
    endpoint = f"http://localhost:{ports['http']}"
    if "sessions" in GROUPS:
        results["programs"] = sessions(ports, ways)
    if "tokens" in GROUPS:
        token = tokens.Token(FOLDER / "softhsm", FOLDER / "device.key")
        results["cold"] = tokens.cold(FOLDER, token, command(FOLDER / "full", FOLDER, endpoint), command(FOLDER / "full", FOLDER, endpoint, token.key), cpu, RUNS)
        results["steady"] = tokens.steady(FOLDER / "signing", token)
    if "tpm" in GROUPS:
        results["tpm"] = with_tpm(endpoint)
    if "serve" in GROUPS:
        arguments = {scheme: flags(FOLDER, f"{scheme}://localhost:{ports[scheme]}") for scheme in ports}
        environments = {"https": ways["system roots"][1], "http": {}}
        results["serve"] = serving.measure(FOLDER, arguments, environments)
    if "push" in GROUPS:
        results["push"] = pushing.measure(FOLDER, pathlib.Path(sys.executable).parent, RUNS)
    if "size" in GROUPS:
        results["size"] = sizes(ports, ways)
    kept.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\n{OUTPUT} has the figures.")


main()

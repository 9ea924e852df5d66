"""What a key in a token costs: keystead's signer beside the bare calls of the module, in SoftHSM.

The same key, the same module: `signing` (hsm-tests/figures) runs once for each way, and all of them
take turns, round by round, so that a busy machine is busy for all alike. What is compared are the
times of one round; of the rounds the median is shown. CPU is that of the program and of its children.
"""

import os
import pathlib
import statistics
import subprocess
import time

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "1234"
WAYS = {
    "straight": "C_SignInit and C_Sign, straight",
    "cryptoki": "cryptoki's Session::sign",
    "in process": "keystead's Signer in process",
    "isolated": "keystead's Signer, isolated",
}
# CPU in ms that credential-process may need beyond a file key's and the module's own start.
BEYOND = 3
# Percent of the straight rate.
TARGETS = {"in process": 95, "isolated": 80}
# Fewer would show the machine's other work; they take ten seconds.
ROUNDS = 60
# Signatures in a round.
KEYS = {"ec": ("P-256", 1, "EC:prime256v1", 200), "rsa": ("RSA 2048", 2, "rsa:2048", 40)}


class Token:
    """A SoftHSM token in a folder, with a key of each kind, and one from a file as number 3."""

    def __init__(self, folder, key_file):
        self.state = folder / "state"
        tokens = folder / "tokens"
        for new in (folder, tokens, self.state):
            new.mkdir(mode=0o700, exist_ok=True)
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": str(configuration)}
        said = self.run("softhsm2-util", "--init-token", "--free", "--label", "bench", "--so-pin", "12345678", "--pin", PIN)
        self.slot = said.split()[-1]
        for _, number, kind, _ in KEYS.values():
            self.tool("--keypairgen", "--key-type", kind, "--id", f"{number:02}", "--usage-sign")
        pin = folder / "pin"
        pin.write_text(PIN)
        pin.chmod(0o600)
        self.key = f"pkcs11:slot-id={self.slot};id=%03;type=private?module-path={MODULE}&pin-source=file:{pin}"
        self.environment["XDG_STATE_HOME"] = str(self.state)
        self.run("softhsm2-util", "--import", key_file, "--slot", self.slot, "--pin", PIN, "--label", "device", "--id", "03")

    def tool(self, *arguments):
        self.run("pkcs11-tool", "--module", MODULE, "--slot", self.slot, "--login", "--pin", PIN, *arguments)

    def run(self, *arguments):
        environment = {**self.environment, "PATH": os.environ["PATH"]}
        return subprocess.run(arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout


def family(pid):
    """A process and those that came from it."""
    parents = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything.
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
    members = [pid]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def cpu_clock(pid):
    """The clock of the CPU time of all threads of a process (clock_getcpuclockid(3))."""
    return ~pid << 3 | 2


class Signing:
    """One way to sign, ready for its next round."""

    def __init__(self, program, way, token, kind):
        arguments = [program, way, MODULE, token.slot, str(KEYS[kind][1]), kind, token.state]
        self.process = subprocess.Popen(arguments, env=token.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "0\n", f"{way} does not sign"
        self.clocks = [cpu_clock(pid) for pid in family(self.process.pid)]

    def turn(self, count):
        """Microseconds of CPU and of time that a signature took."""
        before = self.cpu()
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        took = int(self.process.stdout.readline()) / 1000
        return (self.cpu() - before) * 1e6 / count, took / count

    def cpu(self):
        return sum(time.clock_gettime(clock) for clock in self.clocks)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def steady(program, token):
    """Prints the table of the rates, and gives it."""
    results = {}
    print(f"\nsteady signing in SoftHSM, {ROUNDS} rounds of each in turn{'':5}CPU{'':24}time")
    print(f"{'':36}{'µs each':>10}{'rate':>8}{'target':>9}{'µs each':>10}{'rate':>8}{'target':>9}")
    for kind, (title, _, _, count) in KEYS.items():
        signings = {way: Signing(program, way, token, kind) for way in WAYS}
        measured = {way: [] for way in WAYS}
        for number in range(ROUNDS):
            order = list(WAYS)
            for way in order[number % len(order) :] + order[: number % len(order)]:
                measured[way].append(signings[way].turn(count))
        for signing in signings.values():
            signing.end()
        print(title)
        table = results[title] = {}
        for way, name in WAYS.items():
            row = table[way] = {}
            target = f"{TARGETS[way]} %" if way in TARGETS else ""
            line = f"  {name:34}"
            for column, unit in enumerate(("cpu", "time")):
                own = [turn[column] for turn in measured[way]]
                straight = [turn[column] for turn in measured["straight"]]
                rate = statistics.median(ours / theirs for ours, theirs in zip(straight, own))
                row[f"{unit}_us"], row[f"{unit}_rate"] = round(statistics.median(own), 1), round(rate, 3)
                line += f"{row[f'{unit}_us']:10.1f}{100 * rate:6.1f} %{target:>9}"
            print(line)
    return results


def cold(folder, token, with_file, with_token, cpu, runs):
    """Prints what whole processes cost that make one signature, and gives it."""
    start = folder / "module-start"
    ways = {
        "file": ("credential-process, key in a file", with_file),
        "module": ("the module: load, log in, find, sign", [str(start), MODULE, token.slot, "3"]),
        "nothing": ("a process that does nothing", [str(start)]),
        "token": ("credential-process, key in the token", with_token),
    }
    samples = {way: [] for way in ways}
    for _ in range(runs):
        for way, (_, arguments) in ways.items():
            samples[way].append(cpu(arguments, token.environment))
    results = {}
    print(f"\ncold start with a P-256 key in SoftHSM, over HTTP, {runs} runs of each in turn")
    print(f"{'CPU ms':>40}{'min':>10}{'median':>8}{'limit':>9}")
    for name, summary in (("min", min), ("median", statistics.median)):
        figures = {way: summary(samples[way]) for way in ways}
        # A process is started either way.
        figures["beyond"] = figures["token"] - (figures["file"] + figures["module"] - figures["nothing"])
        for way, figure in figures.items():
            results.setdefault(way, {})[f"cpu_ms_{name}"] = round(figure, 3)
    titles = {way: title for way, (title, _) in ways.items()}
    for way, row in results.items():
        title, limit = titles.get(way, "beyond the file key and the module"), f"{BEYOND:.1f}" if way == "beyond" else ""
        print(f"  {title:38}{row['cpu_ms_min']:10.2f}{row['cpu_ms_median']:8.2f}{limit:>9}")
    return results

"""What a key in a TPM costs: keystead's signer beside TPM2_Sign called straight through tss-esapi, in swtpm.

`signing-tpm` (hsm-tests/figures) is started anew for each round, since swtpm serves one connection at a time; the
ways take turns. What is compared are the times of one round; of the rounds the median is shown. CPU is that of
the program and of its children, without the TPM's; memory is what all of them have resident (`signing-tpm` is linked
with libtss2 whichever way it goes: what a program without it takes is shown by the real one). Commands are counted
in swtpm's log.
"""

import pathlib
import re
import socket
import statistics
import subprocess
import time

from tokens import cpu_clock, family

AUTH = "keypin"
WAYS = {
    "straight": "TPM2_Sign, straight",
    "in process": "keystead's Signer in process",
    "isolated": "keystead's Signer, isolated",
    "direct": "keystead's Signer, without libtss2",
}
# Percent of the straight rate.
TARGETS = {"in process": 90, "isolated": 90, "direct": 90}
ROUNDS = 30
PARENT, DEVICE = 0x81000001, 0x81000012
# Handle, algorithm of tpm2-tools, auth value, what `signing-tpm` is told besides, signatures in a round.
KEYS = {
    "P-256": (0x81000010, "ecc256:null:null", "", "", 100),
    "P-256, auth value in a session": (0x81000011, "ecc256:null:null", AUTH, "", 100),
    "RSA 2048": (0x81000013, "rsa2048:null:null", "", "", 30),
}
SIGNING = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign"
NAMES = {
    0x131: "CreatePrimary", 0x157: "Load", 0x15D: "Sign", 0x161: "ContextLoad", 0x162: "ContextSave",
    0x165: "FlushContext", 0x173: "ReadPublic", 0x176: "StartAuthSession", 0x17A: "GetCapability",
}


class Tpm:
    """swtpm with keys, which answers until the script ends."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "keystead"
        for new in (folder, folder / "state", self.state):
            new.mkdir(mode=0o700, exist_ok=True)
        for old in (folder / "state").iterdir():
            old.unlink()
        self.log = folder / "swtpm.log"
        self.log.unlink(missing_ok=True)
        # Below those ports that the system gives to clients, and two in a row.
        for port in range(23210, 24210, 10):
            if all(is_free(port + more) for more in (0, 1)):
                break
        self.tcti = f"swtpm:host=127.0.0.1,port={port}"
        self.environment = {"TPM2TOOLS_TCTI": self.tcti, "TSS2_LOG": "all+none", "XDG_STATE_HOME": str(folder), "PATH": "/usr/bin:/bin"}
        arguments = ["swtpm", "socket", "--tpm2", "--flags", "not-need-init,startup-clear"]
        arguments += ["--tpmstate", f"dir={folder}/state,mode=0600", "--log", f"level=20,file={self.log}"]
        arguments += ["--server", f"type=tcp,port={port},bindaddr=127.0.0.1", "--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1"]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.await_start(port + 1)
            self.fill()
        except BaseException:
            self.end()
            raise

    def fill(self):
        """Puts the keys into it."""
        self.tool("createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -c srk.ctx -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt")
        self.persist("srk.ctx", PARENT)
        self.tool(f"readpublic -Q -c {PARENT:#x} -n srk.name")
        salt = (self.folder / "srk.name").read_bytes().hex()
        for handle, algorithm, auth, _, _ in KEYS.values():
            self.tool(f"create -Q -C {PARENT:#x} -G {algorithm} -a {SIGNING} -u k.pub -r k.priv" + (f" -p {auth}" if auth else ""))
            self.tool(f"load -Q -C {PARENT:#x} -u k.pub -r k.priv -c k.ctx")
            self.persist("k.ctx", handle)
            self.certify(handle)
        self.salt = f";salt-handle={PARENT:#x};salt-name={salt}"
        self.files = {parent: self.make_file(parent, options) for parent, options in (("persistent", [f"parent:{PARENT:#x}"]), ("hierarchy", []))}

    def await_start(self, port):
        for _ in range(1000):
            if not is_free(port):
                return
            time.sleep(0.01)
        raise RuntimeError("swtpm does not start")

    def persist(self, context, handle):
        self.tool(f"evictcontrol -Q -C o -c {context} {handle:#x}")
        self.tool("flushcontext -t")

    def make_file(self, name, options):
        """A key file as tpm2-openssl makes it."""
        file = self.folder / f"{name}.tss2"
        arguments = ["openssl", "genpkey", "-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2"]
        arguments += ["-algorithm", "EC", "-pkeyopt", "group:P-256"]
        for option in options:
            arguments += ["-pkeyopt", option]
        self.run(*arguments, "-out", str(file), TPM2OPENSSL_TCTI=self.tcti)
        return file

    def certify(self, handle):
        """Makes a certificate for the key at a handle, which another key signs."""
        self.tool(f"readpublic -Q -c {handle:#x} -f pem -o k.pem")
        self.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", "issuer.key")
        arguments = ["-new", "-subj", "/CN=bench", "-force_pubkey", "k.pem", "-key", "issuer.key", "-days", "2"]
        self.run("openssl", "x509", *arguments, "-outform", "DER", "-out", str(self.certificate(handle)))

    def certificate(self, handle):
        return self.folder / f"{handle:x}.der"

    def import_device_key(self, key_file):
        """A private key out of a file, as the key of credential-process."""
        self.tool(f"import -Q -C {PARENT:#x} -G ecc -i {key_file} -u d.pub -r d.priv -a userwithauth|noda|sign")
        self.tool(f"load -Q -C {PARENT:#x} -u d.pub -r d.priv -c d.ctx")
        self.persist("d.ctx", DEVICE)
        return f"tpm:handle={DEVICE:#x};tcti={self.tcti}"

    def tool(self, line):
        name, *arguments = line.split(" ")
        self.run(f"tpm2_{name}", *arguments)

    def run(self, *arguments, **more):
        done = subprocess.run(arguments, cwd=self.folder, env={**self.environment, **more}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stdout}")

    def mark(self):
        return self.log.stat().st_size

    def commands_since(self, mark):
        with self.log.open(errors="replace") as log:
            log.seek(mark)
            read = re.findall(r"SWTPM_IO_Read: length \d+\n((?: *[0-9A-F]{2})+)", log.read())
        codes = (int("".join(bytes.split()[6:10]), 16) for bytes in read)
        return [NAMES.get(code, f"{code:#x}") for code in codes]

    def end(self):
        self.process.kill()
        self.process.wait()


def resident(pid):
    """MiB that a process and those that came from it have in memory. What they share counts for each."""
    texts = (pathlib.Path(f"/proc/{member}/status").read_text() for member in family(pid))
    found = (re.search(r"VmRSS:\s+(\d+)", text) for text in texts)
    return sum(int(size[1]) for size in found if size) / 1024


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Signing:
    """One way to sign, ready for its next round. The first signature is made already."""

    def __init__(self, program, tpm, way, key, auth, kind):
        handle = re.match("tpm:handle=0x([0-9a-f]+)", key)
        certificate = tpm.certificate(int(handle[1], 16)) if handle else ""
        arguments = [program, way, tpm.tcti, key, auth, kind, tpm.state, certificate]
        self.process = subprocess.Popen(arguments, env=tpm.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "0\n", f"{way} does not sign with {key}"
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

    def memory(self):
        return resident(self.process.pid)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def counts(program, tpm):
    """Prints which commands a signature costs, and gives them."""
    handle, with_auth = (f"tpm:handle={KEYS[name][0]:#x}" for name in list(KEYS)[:2])
    kinds = {
        "handle, no auth value": ("isolated", handle, "", "2 commands"),
        "handle, plain auth value": ("isolated plain", with_auth, AUTH, "2 commands"),
        "handle, salted session": ("isolated", with_auth + tpm.salt, AUTH, "2, a session, the salt key"),
        "file, persistent parent": ("isolated", f"tpm:file={tpm.files['persistent']}", "", "3 and flushes"),
        "file, hierarchy": ("isolated", f"tpm:file={tpm.files['hierarchy']}", "", "4 and flushes"),
    }
    results = {}
    print("\ncommands of a TPM for a signature with a P-256 key, counted in swtpm's log")
    for name, (way, key, auth, limit) in kinds.items():
        mark = tpm.mark()
        signing = Signing(program, tpm, way, key, auth, "ec")
        cold = tpm.commands_since(mark)
        mark = tpm.mark()
        signing.turn(10)
        steady = tpm.commands_since(mark)
        mark = tpm.mark()
        signing.end()
        ending = tpm.commands_since(mark)
        results[name] = {"cold": cold, "steady": steady[: len(steady) // 10], "steady_each": len(steady) / 10, "at_end": ending}
        print(f"  {name + ':':27}steady {len(steady) / 10:.1f}; cold {len(cold)} ({limit}): {', '.join(cold)}; at the end {', '.join(ending) or 'none'}")
    return results


def steady(program, tpm):
    """Prints the table of the rates, and gives it."""
    results = {}
    print(f"\nsteady signing in swtpm, {ROUNDS} rounds of each in turn{'':6}CPU{'':16}time")
    print(f"{'':36}{'µs each':>10}{'rate':>9}{'µs each':>10}{'rate':>9}{'target':>9}{'MiB':>8}")
    for title, (handle, algorithm, auth, more, count) in KEYS.items():
        kind = "rsa" if algorithm.startswith("rsa") else "ec"
        measured = {way: [] for way in WAYS}
        memory = {way: [] for way in WAYS}
        for number in range(ROUNDS):
            order = list(WAYS)
            for way in order[number % len(order) :] + order[: number % len(order)]:
                signing = Signing(program, tpm, way + more, f"tpm:handle={handle:#x}", auth, kind)
                measured[way].append(signing.turn(count))
                memory[way].append(signing.memory())
                signing.end()
        print(title)
        table = results[title] = {}
        for way, name in WAYS.items():
            row = table[way] = {}
            line = f"  {name:34}"
            for column, unit in enumerate(("cpu", "time")):
                own = [turn[column] for turn in measured[way]]
                straight = [turn[column] for turn in measured["straight"]]
                rate = statistics.median(ours / theirs for ours, theirs in zip(straight, own))
                row[f"{unit}_us"], row[f"{unit}_rate"] = round(statistics.median(own), 1), round(rate, 3)
                line += f"{row[f'{unit}_us']:10.1f}{100 * rate:7.1f} %"
            row["memory_mib"] = round(statistics.median(memory[way]), 2)
            target = f"{TARGETS[way]:>7} %" if way in TARGETS else f"{'':9}"
            print(f"{line}{target}{row['memory_mib']:8.2f}")
    return results


def cold(with_file, with_tpm, tpm, cpu, memory, runs):
    """Prints what whole processes cost that make one signature, and gives it. CPU is theirs and of the
    `keystead-signer` that they start; memory is the peak of the larger of the two, as GNU time reports it."""
    ways = {
        "file": ("credential-process, key in a file", with_file),
        "direct": ("key in the TPM, without libtss2", [*with_tpm, "--tpm-transport=direct"]),
        "tss": ("key in the TPM, by keystead-signer", [*with_tpm, "--tpm-transport=tss"]),
    }
    samples = {way: [] for way in ways}
    for _ in range(runs):
        for way, (_, arguments) in ways.items():
            start = time.monotonic()
            used = cpu(arguments, tpm.environment)
            samples[way].append((used, (time.monotonic() - start) * 1000))
    results = {}
    print(f"\ncold start with a P-256 key in swtpm, over HTTP, {runs} runs of each in turn")
    print(f"{'':40}{'CPU ms':>16}{'time ms':>18}{'MiB':>8}")
    print(f"{'':40}{'min':>8}{'median':>8}{'min':>10}{'median':>8}{'peak':>8}")
    for way, (title, arguments) in ways.items():
        row = results[way] = {}
        for column, unit in enumerate(("cpu", "time")):
            own = [sample[column] for sample in samples[way]]
            row[f"{unit}_ms_min"], row[f"{unit}_ms_median"] = round(min(own), 3), round(statistics.median(own), 3)
        peak = statistics.median(memory(arguments, tpm.environment) for _ in range(5))
        row["memory_mib"] = round(peak, 2)
        print(f"  {title:38}{row['cpu_ms_min']:8.2f}{row['cpu_ms_median']:8.2f}{row['time_ms_min']:10.2f}{row['time_ms_median']:8.2f}{peak:8.2f}")
    return results


def idle(running, program, folder, with_file, with_tpm, tpm):
    """Prints what `keystead serve` and the processes that it starts keep in memory after a signature, and gives it."""
    ways = {
        "file": ("key in a file", with_file),
        "direct": ("key in the TPM, without libtss2", [*with_tpm, "--tpm-transport=direct"]),
        "tss": ("key in the TPM, by keystead-signer", [*with_tpm, "--tpm-transport=tss"]),
    }
    results = {}
    print(f"\nserve, idle with a session{'':14}{'MiB':>8}")
    for way, (title, arguments) in ways.items():
        with running(program, folder, arguments, tpm.environment) as server:
            server.credentials()
            time.sleep(1)
            results[way] = {"memory_mib": round(resident(server.process.pid), 2)}
        print(f"  {title:38}{results[way]['memory_mib']:8.2f}")
    return results

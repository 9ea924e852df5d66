"""What a program contains of others: crates.py, with `cargo metadata` on standard input and the packages that are
linked, a `NAME VERSION` a line, in the file that is named. Prints each crate with its license, and its files of
that kind; a text that several crates have once.
"""

import json
import pathlib
import sys

TEXTS = ("license", "licence", "copying", "notice", "copyright", "unlicense")

linked = {tuple(line.split()[:2]) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()}
packages = [p for p in json.load(sys.stdin)["packages"] if (p["name"], "v" + p["version"]) in linked]
texts = {}
for package in sorted(packages, key=lambda p: (p["name"], p["version"])):
    name = f"{package['name']} {package['version']}"
    if package["source"] is None:
        continue
    print(f"{name}: {package['license'] or 'see its license file'}")
    folder = pathlib.Path(package["manifest_path"]).parent
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name.lower().startswith(TEXTS):
            texts.setdefault(file.read_text(errors="replace").strip(), []).append(f"{name} ({file.name})")
for text, names in texts.items():
    print("\n" + "=" * 78 + "\n" + "\n".join(names) + "\n" + "-" * 78 + "\n" + text)

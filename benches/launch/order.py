#!/usr/bin/env python3
"""Brings src/functions.order up to date with what a launch runs now.

    CARGO_PROFILE_RELEASE_STRIP=false cargo build --release
    benches/launch/order.py target/x86_64-unknown-linux-gnu/release/cofferdam ROOTFS [NAMES] > new

Valgrind follows a launch up to its first process; what comes after that is named by module (AFTER), or in NAMES, a
file of functions that another tool has seen (perf script --no-demangle -F sym). The list that is there is kept: a
name that is gone costs nothing. A pattern stands for every build of a function, the compiler's hashes being a star;
where that would bring in much that no launch runs (a generic function has many instances), the very names stand.
Lines `archive:object` name parts of the C library. Needs valgrind; ROOTFS has a static /bin/true.
"""
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

LIST = pathlib.Path(__file__).parents[2] / "src/functions.order"
MODULES = ["sandbox", "verify", "sys"]
CONTAINER = ["run", "build", "store", "record", "saved", "janitor", "signals", "streams"]
AFTER = [f"_ZN9cofferdam{len(m)}{m}*" for m in MODULES] + [
    f"_ZN9cofferdam9container{len(m)}{m}*" for m in CONTAINER
]
# Bytes of other instances that a pattern may bring with it.
MOST = 32768


def pattern(name):
    name = re.sub(r"17h[0-9a-f]{16}E.*$", "17h*", name)
    name = re.sub(r"\.(llvm\.)?\d+$", "*", name)
    name = re.sub(r"^aws_lc_\d+_\d+_\d+_", "aws_lc_*_", name)
    return re.sub(r"Cs[0-9A-Za-z]+_(?=\d)", "Cs*_", name).replace("[", "?").replace("]", "?")


def sizes(binary):
    lines = subprocess.check_output(["nm", "-S", binary], text=True).splitlines()
    fields = [line.split() for line in lines]
    return {f[3]: int(f[1], 16) for f in fields if len(f) == 4 and f[2] in "tT"}


def run(binary, root):
    with tempfile.TemporaryDirectory() as work:
        out = f"{work}/callgrind"
        call = ["valgrind", "-q", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={out}"]
        launch = [binary, "--root", f"{work}/state", "run", "--rootfs", root, "order", "--", "/bin/true"]
        subprocess.run(call + launch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        names = re.findall(r"^c?fn=\(\d+\) (\S+)", open(out).read(), re.M)
    return [name.split("'")[0] for name in names]


def ours(name):
    return name.startswith(("_ZN", "_R", "aws_lc_", "sha256_"))


def main():
    binary, root = sys.argv[1:3]
    size = sizes(binary)
    extra = [name for path in sys.argv[3:] for name in open(path).read().split()]
    hit = [name for name in run(binary, root) + extra if name in size and ours(name)]
    instances, run_of = collections.defaultdict(list), collections.defaultdict(list)
    for name in size:
        instances[pattern(name)].append(name)
    for name in dict.fromkeys(hit):
        run_of[pattern(name)].append(name)

    def lines(known):
        if known not in instances:
            return [known]
        rest = sum(size[name] for name in instances[known] if name not in run_of[known])
        return run_of[known] if rest > MOST and len(instances[known]) > 1 else [known]

    known = LIST.read_text().splitlines()
    out = [line for name in known + list(map(pattern, hit)) + AFTER for line in lines(name)]
    print("\n".join(dict.fromkeys(out)))


main()

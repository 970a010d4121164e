#!/usr/bin/env python3
"""Makes src/functions.order: what a launch runs, to be put side by side by the linker (see build.rs).

    CARGO_PROFILE_RELEASE_STRIP=false cargo build --release
    benches/launch/order.py target/x86_64-unknown-linux-gnu/release/cofferdam >src/functions.order

Follows `run`, and `create`, `start`, `state`, `kill` and `delete` with a breakpoint on every function (entered.c), so
nothing that they run is missed but what comes behind the verification in the container's process: that is named in
AFTER. A pattern stands for a function in every build, the numbers of crates being a star (.cargo/config.toml asks for
names that have no other); where that would bring in much that no launch runs, the very names stand. Lines
`archive:object` name parts of the C library. Needs root and cc.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
OLD = (HERE / "../../src/functions.order").read_text().splitlines()
# What has a copy for each sort of processor: those of the others were met before. And what is in no archive that is
# looked at here.
KEPT = [line for line in OLD if re.search(r"^__[a-z]+_(sse|avx|evex)|:.*-(sse|avx|evex)|^lib(m-|aws)", line)]
AFTER = ["_R*9cofferdam7sandbox5child*", "_R*9cofferdam7sandbox8lockdown*", "_R*9cofferdam3sys7process*"]
# Bytes of other instances that a pattern may bring with it.
MOST = 2048


def pattern(name):
    name = re.sub(r"\.(llvm\.)?\d+$", "*", name)
    name = re.sub(r"^aws_lc_\d+_\d+_\d+_", "aws_lc_*_", name)
    # Numbers of crates, and references back over them, which their length moves.
    return re.sub(r"B[0-9A-Za-z]{0,3}_", "B*_", re.sub(r"Cs[0-9A-Za-z]+_(?=\d)", "Cs*_", name))


def by_any(name):
    """The pattern of a generic function, whichever crate of those that could has made it: another in another build."""
    name = pattern(name)
    front, _, crate = name.rpartition("Cs*_")
    length = re.match(r"\d+", crate)
    at_the_end = length and len(crate) - length.end() == int(length[0])
    return front + "Cs*" if at_the_end and not front.endswith(("Nt", "Nv", "M", "X", "Y")) else name


def functions(binary):
    lines = subprocess.check_output(["nm", "-S", "-n", binary], text=True).splitlines()
    fields = [line.split() for line in lines]
    return [(int(f[0], 16), int(f[1], 16), f[3]) for f in fields if len(f) == 4 and f[2] in "tTi"]


def objects(hit):
    """The parts of the C library that have these functions: its functions are in no sections of their own."""
    archive = subprocess.check_output(["cc", "-print-file-name=libc.a"], text=True).strip()
    listed = subprocess.run(["nm", "-A", "--defined-only", archive], capture_output=True, text=True, check=True)
    places = collections.defaultdict(set)
    for line in listed.stdout.splitlines():
        place, kind, name = line.rsplit(" ", 2)
        if name in hit and kind in "TWit":
            places[name].add("libc.a:" + place.split(":")[1])
    # A local name that several parts have says nothing.
    return dict.fromkeys(place for some in places.values() if len(some) == 1 for place in some)


def traces(binary, work):
    """What to follow: whole lives, by both ways in."""
    tracer, root, bundle = f"{work}/entered", f"{work}/root", f"{work}/bundle"
    subprocess.run(["cc", "-O2", "-o", tracer, HERE / "entered.c"], check=True)
    addresses = pathlib.Path(work, "addresses")
    addresses.write_text("".join(f"{start:x}\n" for start, _, _ in functions(binary)))
    pathlib.Path(root, "bin").mkdir(parents=True)
    program = pathlib.Path(work, "true.c")
    program.write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-O2", "-static", "-o", f"{root}/bin/true", program], check=True)
    pathlib.Path(bundle).mkdir()
    spec = json.loads(subprocess.check_output([binary, "spec"], cwd=bundle) or "{}")
    place = pathlib.Path(bundle, "config.json")
    spec = json.loads(place.read_text()) if place.exists() else spec
    spec["process"]["args"], spec["root"]["path"] = ["/bin/true"], root
    place.write_text(json.dumps(spec))
    state = [binary, "--root", f"{work}/state"]
    run = [*state, "run", "--rootfs", root, "order", "--", "/bin/true"]

    def follow(*command, alone=("-p",)):
        # Not a pipe: a container that waits for `start` keeps it open.
        with open(f"{work}/entered.txt", "w+") as out:
            subprocess.run([tracer, *alone, addresses, *command], stdout=out, stderr=subprocess.DEVNULL, timeout=60)
            out.seek(0)
            return [line[1:] for line in out.read().splitlines() if line.startswith("@")]

    yield follow(*run)
    for folder in ("dev", "proc", "sys"):
        pathlib.Path(root, folder).mkdir()
    yield follow(*run)
    yield follow(*run, alone=())
    yield follow(*state, "create", "--bundle", bundle, "order")
    for verb in (["start", "order"], ["state", "order"], ["kill", "order", "9"], ["delete", "--force", "order"]):
        yield follow(*state, *verb)


def main():
    # It is run from other folders.
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    all_of = functions(binary)
    names = collections.defaultdict(list)
    for start, _, name in all_of:
        names[start].append(name)
    with tempfile.TemporaryDirectory() as work:
        entered = [int(word, 16) for trace in traces(binary, work) for word in trace]
    hit = dict.fromkeys(name for at in entered for name in names[at])
    size = {name: size for _, size, name in all_of}
    instances, run_of = collections.defaultdict(list), collections.defaultdict(list)
    for name in size:
        instances[by_any(name)].append(name)
    for name in hit:
        run_of[by_any(name)].append(name)

    def lines(known):
        rest = sum(size[name] for name in instances[known] if name not in run_of[known])
        return [pattern(name) for name in run_of[known]] if rest > MOST else [known]

    known = dict.fromkeys(by_any(name) for name in hit)
    ours = [line for one in known for line in lines(one)]
    print("\n".join(dict.fromkeys(AFTER + ours + [*objects(hit)] + KEPT)))


main()

"""Our benches and their peers, in turn in one run: medians and ratios. Started by run.sh.

Each case is timed in rounds: `vidit bench --json` in a process of its own, then every peer that has it, so that both see
the same state of the machine. The figure of a case is the median of its rounds' medians.

With `--beside "--threads 1"` the peer is the same binary with other options: how threads scale, or what bytes gain.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from datetime import date
from pathlib import Path

# Instruction sets are fixed before libraries are loaded.
LIMITS = {
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
    "avx512bf16": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16",
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512_E3",
    },
    "amx": {},
}
SUITES = ["kernels", "wan-block", "vae-decode", "train-step"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vidit", required=True, help="the binary")
    parser.add_argument("--isa", choices=LIMITS, help="limit ours and the peers alike")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--peer-dtype", choices=["f32", "bf16"], help="if the peers shall use another")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3, help="runs of a case in a round")
    parser.add_argument("--cold", action="store_true", help="time the peers' first run, where a second takes minutes")
    parser.add_argument(
        "--beside", action="append", default=[], metavar="OPTIONS",
        help="ours with these options as the peer, instead of other people's; may be given several times",
    )
    parser.add_argument("--suite", choices=SUITES, action="append", help="may be given several times; all by default")
    parser.add_argument("--filter", default="", help="only cases whose name holds this text")
    parser.add_argument("--tokens", help="of wan-block, instead of its two lengths")
    parser.add_argument("--frames", help="of vae-decode, 4n+1")
    parser.add_argument("--size", help="of vae-decode, WxH")
    parser.add_argument("-o", "--output", type=Path, help="write the results here as JSON, too")
    return parser.parse_args()


def bench(args, suite):
    """The command, with the shapes that were asked for."""
    shapes = {"--tokens": args.tokens, "--frames": args.frames, "--size": args.size}
    return [args.vidit, "bench", suite] + [word for pair in shapes.items() if pair[1] for word in pair]


def ours(args, suite, **other):
    """One object a case; `other` options stand in for those that were asked for."""
    options = {"dtype": args.dtype, "threads": args.threads, "runs": args.runs, "isa": args.isa, **other}
    words = [word for name, value in options.items() if value for word in (f"--{name}", str(value))]
    command = bench(args, suite) + ["--json"] + words
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


def options_of(text):
    words = shlex.split(text)
    if len(words) % 2 or not all(word.startswith("--") for word in words[::2]):
        sys.exit(f'--beside takes options with their values, such as "--threads 1", found "{text}"')
    return {name[2:]: value for name, value in zip(words[::2], words[1::2], strict=True)}


def ours_beside(args):
    """What gives the contestants of a case: ours, with each of the other options."""
    beside = [(text, options_of(text)) for text in args.beside]

    def contestants_of(suite, name):
        def once(options):
            return lambda: ours(args, suite, filter=name, **options)[name]["seconds"]

        return [(f"vidit {text}", once(options)) for text, options in beside]

    return contestants_of


def names(args, suite):
    done = subprocess.run(bench(args, suite) + ["--list"], capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split() if args.filter in name]


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    args = arguments()
    os.environ.update(LIMITS[args.isa] if args.isa else {})
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    peer_dtype = args.peer_dtype or args.dtype
    if args.beside:
        versions, peer_facts, contestants_of = {}, {}, ours_beside(args)
    else:
        import peers

        peers.prepare(args.threads)
        versions, peer_facts = peers.versions(), {"peer_dtype": peer_dtype}

        def contestants_of(_suite, name):
            def once(work):
                return lambda: peers.median_of(work, args.runs, 0 if args.cold else 1)

            return [(peer, once(work)) for peer, work in peers.of(name, peer_dtype)]

    results = []
    print("| case | ours ms | peer | peer ms | ratio |\n|---|---|---|---|---|", flush=True)
    for suite in args.suite or SUITES:
        for name in names(args, suite):
            contestants = contestants_of(suite, name)
            if not contestants:
                continue
            own, theirs = [], {peer: [] for peer, _ in contestants}
            for _ in range(args.rounds):
                own.append(ours(args, suite, filter=name)[name])
                for peer, median in contestants:
                    theirs[peer].append(median())
            line = sorted(own, key=lambda line: line["seconds"])[len(own) // 2]
            for peer, seconds in theirs.items():
                seconds = statistics.median_high(seconds)  # of two rounds the slower one, as ours
                ratio = seconds / line["seconds"]
                results.append({**line, "peer": peer, **peer_facts, "peer_seconds": seconds, "ratio": ratio})
                print(f"| {name} | {line['seconds'] * 1e3:.2f} | {peer} | {seconds * 1e3:.2f} | {ratio:.2f}× |", flush=True)
    if args.output:
        setup = {
            "date": date.today().isoformat(),
            "processor": processor(),
            "threads": args.threads,
            "rounds": args.rounds,
            "runs": args.runs,
            "cold": args.cold,
            "limits": LIMITS.get(args.isa, {}),
            "versions": versions,
        }
        args.output.write_text(json.dumps({"setup": setup, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()

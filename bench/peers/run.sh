#!/bin/sh
# Runs our benches and their peers in turn and writes medians and ratios:
#
#     bench/peers/run.sh [--isa avx2|avx512|avx512bf16|amx] [--dtype f32|bf16] [--peer-dtype f32|bf16] [--threads N] [--rounds N]
#         [--runs N] [--cold] [--beside OPTIONS]... [--suite NAME]... [--filter TEXT] [--tokens N] [--frames N] [--size WxH] [-o FILE]
#
# `--help` says more. bf16, where the machine multiplies it, has to be asked for: `--dtype bf16`.
#
# Sets up a virtual environment with the peers of requirements.txt beside this script on first use, and builds vidit.
# Needs Python 3.11 or later and about 6 GB of disk.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${VIDIT_PEERS:-$here/.venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
cargo build --release --locked --manifest-path "$root/Cargo.toml" --package vidit
exec "$venv/bin/python" "$here/compare.py" --vidit "${CARGO_TARGET_DIR:-$root/target}/release/vidit" "$@"

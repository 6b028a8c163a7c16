#!/usr/bin/env bash
# Rebuilds assets/emoji/sprites from the animated clips that objects.json names.
#
# Needs npm, python3 with venv, and 2 GB of disk; fetches 730 MB. Usage: scripts/emoji/build.sh [WORK_FOLDER]
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"

fetch() { # NAME VERSION FILE SHA256: the package unpacked to $work/FILE.d
  [[ -f $3 ]] || npm pack --silent "$1@$2" >/dev/null
  echo "$4  $3" | sha256sum --check --quiet
  mkdir -p "$3.d"
  tar -xzf "$3" -C "$3.d"
}

while read -r part sha256; do
  fetch "@lobehub/fluent-emoji-anim-$part" 1.0.0 "lobehub-fluent-emoji-anim-$part-1.0.0.tgz" "$sha256"
done <<'PACKAGES'
1 4c03ac178c1eabf2e2a16dd498f3cc2b92dc30ec3466ae38fdc497d4774c99ea
2 e431da8172e394036c330faa77648d6fbbae1fd3b0be95637c4497c9075019c0
3 3624d0c34c819c1794b74ccf6ae9034adff7c4cb6318dd2a645145f0196feb43
4 3d4c08f1e321f70808ef4996aba0ab575a9d97b6c56ffffc92cf6161a7836aa3
PACKAGES

python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6
venv/bin/python "$root/scripts/emoji/sprites.py" "$root/assets/emoji/objects.json" ./*.tgz.d/package/assets \
  "$root/assets/emoji/sprites"
echo "sprites: $(du -sh --apparent-size "$root/assets/emoji/sprites" | cut -f1) in $root/assets/emoji/sprites"

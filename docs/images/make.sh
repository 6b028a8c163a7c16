#!/bin/sh
# Makes the contact sheets of docs/verbs.md and of the boxes anew:
#
#     docs/images/make.sh target/release/vidit
#
# `mini.png` is a preview that training drew, and stays.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vidit=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

make() {
    verb=$1
    shift
    "$vidit" "$verb" "$@" --quiet --overwrite
}

make image "a ghost on a purple background" --seed 7 -o ghost.png
make generate "a ghost floats up" --image ghost.png --seed 7 -o "$here/verb-animate.png"
make generate "a red car drives to the left on a yellow background" --seed 7 -o car.mp4
make extend car.mp4 "a red car drives to the right" --seed 7 -o "$here/verb-extend.png"
make loop "a fish moves up on a green background" --frames 24 --seed 3 -o "$here/verb-loop.png"
make generate "a dog runs to the right on a yellow background" --seed 7 -o dog.mp4
make connect car.mp4 dog.mp4 "a red car becomes a dog" --only-new --seed 7 -o "$here/verb-connect.png"
make blend car.mp4 dog.mp4 --curve smooth --seed 7 -o "$here/verb-blend.png"
make remix car.mp4 "a bus drives to the left on a green background" --strength 0.8 --seed 7 -o "$here/verb-remix.png"

make generate "a red car on a green background" --boxes "$here/boxes.json" --seed 2 -o boxes
make boxes draw boxes "$here/boxes.json" -o "$here/boxes.png"
make generate "a frog goes left and a rocket goes right on a yellow background" --boxes "$here/boxes-crossing.json" --seed 1 -o crossing
make boxes draw crossing "$here/boxes-crossing.json" -o "$here/boxes-crossing.png"
make generate "a red car drives to the right on a green background" --boxes "$here/boxes-leaving.json" --seed 2 \
    -o leaving
make boxes draw leaving "$here/boxes-leaving.json" -o "$here/boxes-leaving.png"
make generate "a red car drives to the right on a yellow background" --boxes "$here/boxes-entering.json" --seed 3 \
    -o entering
make boxes draw entering "$here/boxes-entering.json" -o "$here/boxes-entering.png"
make generate "a frog, a red car and a rocket on a blue background" --boxes "$here/boxes-three.json" --seed 1 -o three
make boxes draw three "$here/boxes-three.json" -o "$here/boxes-three.png"

"""Writes `camera_motion.json`: what the reference's rules make of random tracks, and of names of files.

    pip install torch==2.15.0 numpy==1.26.4 decord==0.6.0 torchvision==0.29.2 tqdm && pip install --no-deps vbench==0.1.5
    python export_camera_motion.py

Of the grid of 10 x 10 points only the four that the rules look at are written: top, bottom, left, right, each where it is in the first
frame and in the last. Only the rules run: the network and its drawing of tracks are left out.
"""

import json
import random
import sys
import types
from pathlib import Path

for name in ["third_party", "third_party.cotracker", "third_party.cotracker.utils", "third_party.cotracker.utils.visualizer"]:
    sys.modules[f"vbench2_beta_i2v.{name}"] = types.ModuleType(name)
sys.modules["vbench2_beta_i2v.third_party.cotracker.utils.visualizer"].Visualizer = None

import torch
from vbench2_beta_i2v.camera_motion import CameraPredict, get_type

SEED, SIDE, CASES = 19, 10, 160
PLACES = [(0, 5), (9, 5), (5, 0), (5, 9)]
# Places of neighbours in a grid, and how they move together for each kind of motion: x and y of top, bottom, left, right.
MOTIONS = [
    [(1, 0)] * 4,
    [(0, 1)] * 4,
    [(1, 1)] * 4,
    [(0, -1), (0, 1), (-1, 0), (1, 0)],
    [(0, 0)] * 4,
    [(0, 0), (0, 0), (1, 0), (0, 1)],
    [(1, -1), (1, 1), (-1, 0), (1, 0)],
]
NAMES = [
    "a cat, camera pans left-0.mp4",
    "camera pans right.mp4",
    "The camera tilts up_1.mp4",
    "camera tilts down",
    "a camera zooms in on a camera zooms out-4.mp4",
    "camera zooms out-4.mp4",
    "camera static.mp4",
    "camera zooms out, camera pans left.mp4",
    "Camera pans left.mp4",
    "a cat-0.mp4",
]

draw = random.Random(SEED)


def case():
    height, width = draw.choice([(256, 256), (480, 832), (320, 200), (1080, 1920), (64, 80)])
    limit = 0.005 * min(height, width)
    motion, size = draw.choice(MOTIONS), draw.choice([-8, -1.5, 0.3, 1, 1.5, 8]) * limit
    noise = draw.choice([0.0, 0.3, 1.5]) * limit
    first = [[draw.uniform(-5, width), draw.uniform(-5, height)] for _ in range(4)]
    last = [[x + size * dx + draw.gauss(0, noise), y + size * dy + draw.gauss(0, noise)] for (x, y), (dx, dy) in zip(first, motion)]
    # As the network gives them.
    first, last = torch.tensor(first), torch.tensor(last)
    camera = object.__new__(CameraPredict)
    camera.grid_size, camera.number_points, camera.scale = SIDE, 1, min(height, width)

    def grid(points):
        tracks = 1000 * torch.rand(SIDE, SIDE, 2)
        for (row, column), point in zip(PLACES, points):
            tracks[row, column] = point
        return tracks.long().numpy()

    found = camera.camera_classify(grid(first), grid(last))
    return {"size": [height, width], "first": first.tolist(), "last": last.tolist(), "types": sorted(found)}


def named(name):
    try:
        return get_type(name)
    except ValueError:
        return None


torch.manual_seed(SEED)
cases = [case() for _ in range(CASES)]
notes = {"seed": SEED, "vbench": "0.1.5", "torch": torch.__version__, "python": sys.version.split()[0]}
told = {"notes": notes, "cases": cases, "names": {name: named(name) for name in NAMES}}
path = Path(__file__).with_name("camera_motion.json")
path.write_text(json.dumps(told, separators=(",", ":")) + "\n")
print(path, path.stat().st_size)
counts = {}
for entry in cases:
    counts[" ".join(entry["types"])] = counts.get(" ".join(entry["types"]), 0) + 1
print(counts, told["names"], sep="\n")

"""Writes `rules.json`: what the reference makes of random detections, for the four dimensions that read GRiT's.

    pip install torch==2.15.0 torchvision==0.29.2 opencv-python-headless==4.11.0.86 decord==0.6.0 tqdm && pip install --no-deps vbench==0.1.5
    python export.py

A video is frames of detections `[name, caption, corners]`. Only the reference's rules run: the network is left out.
"""

import json
import random
import sys
import types
from pathlib import Path


network = types.ModuleType("vbench.third_party.grit_model")
network.DenseCaptioning = None
sys.modules["vbench.third_party.grit_model"] = network

from vbench import color, multiple_objects, object_class, spatial_relationship

SEED, VIDEOS, FRAMES = 11, 24, 4
NAMES = ["bird", "cat", "dog"]
CAPTIONS = ["a red bird", "the colored cat on a grey wall", "a black dog", "something fast", "grass is green"]
RELATIONS = ["on the left of", "on the right of", "on the top of", "on the bottom of"]

draw = random.Random(SEED)


def detection():
    x, y = draw.uniform(0, 30), draw.uniform(0, 30)
    corners = [x, y, x + draw.uniform(0, 50), y + draw.uniform(2, 50)]
    return [draw.choice(NAMES), draw.choice(CAPTIONS), [round(corner, 2) for corner in corners]]


def expected(frames, relation, wanted):
    names = [{name for name, _, _ in frame} for frame in frames]
    boxes = [[[name, [int(corner) for corner in corners]] for name, _, corners in frame] for frame in frames]
    # Every box has the name of the first; a frame without boxes has one without a name.
    told = [[[caption, frame[0][0]] for _, caption, _ in frame] or [["", ""]] for frame in frames]
    key = {"object_a": "bird", "object_b": "cat", "relationship": relation}
    return {
        "object_class": object_class.check_generate("bird", names),
        "multiple_objects": multiple_objects.check_generate("bird and cat", names),
        "color": list(color.check_generate(wanted, "cat", told)),
        "spatial_relationship": spatial_relationship.check_generate(key, boxes),
    }


videos = []
for i in range(VIDEOS):
    frames = [[detection() for _ in range(draw.randint(0, 5))] for _ in range(FRAMES)]
    relation, wanted = RELATIONS[i % 4], draw.choice(["red", "black", "green"])
    video = {"relation": relation, "color": wanted, "frames": frames}
    videos.append(video | {"expected": expected(frames, relation, wanted)})
notes = {"seed": SEED, "vbench": "0.1.5", "python": sys.version.split()[0]}
path = Path(__file__).with_name("rules.json")
path.write_text(json.dumps({"notes": notes, "videos": videos}, separators=(",", ":")) + "\n")
print(path, path.stat().st_size, *(video["expected"] for video in videos), sep="\n")

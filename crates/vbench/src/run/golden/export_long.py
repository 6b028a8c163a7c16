"""Writes `long.json`: which frames VBench-Long puts into the clips of a long video, and what it makes of their scores.

The reference's own functions run; only reading and writing of videos are replaced, so that each frame is its number.

    pip install vbench==0.1.5 torch==2.15.0 torchvision==0.29.2 opencv-python-headless==4.11.0.86 decord==0.6.0 numpy==1.26.4 scipy pyyaml
    python export_long.py
"""

import json
import tempfile
from pathlib import Path

import torch

import long_reference

utils = long_reference.utils()

CUTS = [
    (24, 240, 2), (24, 250, 2), (24, 239, 10), (24, 240, 10), (24, 241, 10), (8, 33, 2), (8, 16, 2), (8, 15, 2),
    (23, 121, 2), (30, 1, 2), (1, 7, 2),
]
SCORES = {"a cat-0": [0.25, 0.5], "a dog-0": [1.0], "a_cup-0": [0.125, 0.25, 0.75]}

cuts = []
for fps, frames, secs in CUTS:
    clips = []
    utils.get_video_properties = lambda path: {"fps": fps}
    utils.load_video = lambda path, return_tensor: torch.arange(frames).reshape(-1, 1, 1, 1)
    utils.write_video = lambda path, of, fps: clips.append([Path(path).name, int(of[0]), int(of[-1]) + 1, fps])
    with tempfile.TemporaryDirectory() as folder:
        utils.split_video_into_clips("videos/a cat-0.mp4", folder, secs, fps=8)
    cuts.append({"fps": fps, "frames": frames, "secs": secs, "clips": clips})


def overall(dimension, folder, scores):
    clips = [(name, index, score) for name, of in scores.items() for index, score in enumerate(of)]
    detailed = [
        {"video_path": f"v/{folder.format(name)}/{name}_{index:03d}.mp4", "video_results": score}
        for name, index, score in clips
    ]
    return utils.reorganize_clips_results(detailed, dimension)[0]


overalls = {name: overall(name, "split_clip/{}", SCORES) for name in ["scene", "imaging_quality"]}
# Where clips that stand still are copied to. The reference cuts names off at the first underscore, so that `a_cup` would be `a`.
overalls["temporal_flickering"] = overall("temporal_flickering", "filtered_videos/filtered_clips", SCORES)
golden = {"cuts": cuts, "scores": SCORES, "overall": overalls}
text = ",\n".join(f' {json.dumps(key)}: {json.dumps(value)}' for key, value in golden.items())
Path(__file__).with_name("long.json").write_text("{\n" + text + "\n}\n")

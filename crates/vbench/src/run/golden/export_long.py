"""Writes `long.json`: which frames VBench-Long puts into the clips of a long video, and what it makes of their scores.

The reference's own functions run; only reading and writing of videos are replaced, so that each frame is its number.

    pip install vbench==0.1.5 torch==2.15.0 torchvision==0.29.2 opencv-python-headless==4.11.0.86 decord==0.6.0 numpy==1.26.4 scipy pyyaml
    python export_long.py CONFIGS

CONFIGS is the folder `vbench2_beta_long/configs` of a clone of github Vchitect/VBench, which the package lacks.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch

import long_reference

CONFIGS = sys.argv[1]
utils = long_reference.utils()

CUTS = [
    (24, 240, 2), (24, 250, 2), (24, 239, 10), (24, 240, 10), (24, 241, 10), (8, 33, 2), (8, 16, 2), (8, 15, 2),
    (23, 121, 2), (30, 1, 2), (1, 7, 2),
]
# Between places of the tables, on them, at both ends and beyond, where sums of floats may lie.
BETWEEN = [0.0, 0.004, 0.01, 0.015, 0.07, 0.29, 0.5, 0.573, 0.8125, 0.9, 0.94999, 0.995, 0.9999999, 1.0, 1.0000001]
WITHIN = [0.9 + 0.00625 * i for i in range(len(BETWEEN))]
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


def fused(dimension, within, between):
    """What the reference makes of scores within clips, by the name of the video, and from clip to clip, with `--dev_flag`."""
    clips = [
        {"video_path": f"v/split_clip/{name}/{name}_{index:03d}.mp4", "video_results": score}
        for name, of in within.items() for index, score in enumerate(of)
    ]
    inclip, _, inclip_by_group = utils.reorganize_clips_results(clips)
    compared = [{"video_path": f"v/cat/{name}.mp4", "video_results": score} for name, score in between.items()]
    options = {"slow_fast_eval_config": f"{CONFIGS}/slow_fast_params.yaml", "dev_flag": True}
    for postfix, name in [("sb", "subject"), ("bg", "background")]:
        options[f"{postfix}_mapping_file_path"] = f"{CONFIGS}/{name}_mapping_table.yaml"
    return utils.fuse_inclip_clip2clip(inclip, 0.5 if compared else None, inclip_by_group, compared, dimension, **options)


def fused_cases(dimension):
    cases = []
    for within, between in zip(WITHIN, BETWEEN):
        [case] = fused(dimension, {"a-0": [within]}, {"a-0": between})[1]
        del case["video_path"]
        cases.append(case)
    return cases


FUSED = {"a cat-0": [0.9375, 0.84, 0.913], "a dog-0": [0.7, 0.81], "an owl-0": [0.99]}
COMPARED = {"a cat-0": 0.8125, "a dog-0": 0.333}
fused_suite = {"inclip": FUSED, "clip2clip": COMPARED, "overall": fused("subject_consistency", FUSED, COMPARED)[0]}
golden = {
    "cuts": cuts,
    "scores": SCORES,
    "overall": overalls,
    "fused": {name: fused_cases(name) for name in ["subject_consistency", "background_consistency"]},
    "fused_suite": fused_suite,
}
text = ",\n".join(f' {json.dumps(key)}: {json.dumps(value)}' for key, value in golden.items())
Path(__file__).with_name("long.json").write_text("{\n" + text + "\n}\n")

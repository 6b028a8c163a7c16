#!/usr/bin/env python3
"""Holds `vidit eval run` to the VBench reference: the same clips, the same random weights, both in turn on this machine.

    vbench_reference.py weights WEIGHTS
    vbench_compare.py --vidit target/release/vidit --weights WEIGHTS CLIP.mp4... [--rounds 3] [--threads 2] [-o OUT.json]

Prints for each dimension both scores, the largest difference (of a video or of all), seconds (medians; the reference's without
the loading of its network, ours with everything, reading and hashing of weights included), their ratio, and peak memory. Exit status 1
if a score differs by more than its tolerance.

The reference's environment, installed without resolving dependencies (its declared ones contradict each other):
    numpy<2 torch torchvision opencv-python-headless==4.11.0.86 decord==0.6.0 av tqdm omegaconf easydict imageio
    antlr4-python3-runtime==4.9.3 PyYAML scipy einops timm<=1.0.12 ftfy regex wcwidth huggingface_hub==0.17.3 safetensors pillow
    vbench==0.1.5 openai-clip==1.0.1 pyiqa==0.1.10 requests packaging
    for i2v_background: dreamsim==0.2.1 peft==0.13.2 accelerate==0.34.2 open-clip-torch psutil huggingface_hub==0.25.2 pillow<12
and for camera_motion, which is left out without it as i2v_background is without its own, a clone of facebookresearch/co-tracker on PYTHONPATH.
"""

import argparse
import importlib.util
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from vbench_reference import PICTURES, prompt_of

HERE = os.path.dirname(os.path.abspath(__file__))
# Absolute, of the raw score; facts of float32 sums in another order.
TOLERANCES = {
    "temporal_flickering": 1e-6,
    "motion_smoothness": 1e-5,
    "dynamic_degree": 0.0,
    "subject_consistency": 1e-5,
    "background_consistency": 1e-5,
    "aesthetic_quality": 1e-5,
    "imaging_quality": 1e-5,
    "appearance_style": 1e-5,
    "temporal_style": 1e-5,
    "overall_consistency": 1e-5,
    "human_action": 0.0,
    "camera_motion": 0.0,
    "i2v_background": 1e-5,
}
SEMANTIC = ["appearance_style", "temporal_style", "overall_consistency", "human_action"]
# Compared with a given picture: the clip's own first frame, a quarter cut off its right.
GIVEN = ["i2v_background"]
# What videos are called after for these: words of each are looked for.
PROMPTS = ["a person is riding a bike", "a person is marching", "a ship at sea, in the style of Monet", "earth, zoom in"]


def timed(command):
    """Seconds that a command takes."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, errors = process.communicate()
    seconds = time.monotonic() - began
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{errors.decode()[-2000:]}")
    return seconds


def write_picture(video):
    import cv2

    folder = os.path.join(os.path.dirname(video), PICTURES)
    os.makedirs(folder, exist_ok=True)
    _, frame = cv2.VideoCapture(video).read()
    frame = frame[:, : frame.shape[1] * 3 // 4]
    cv2.imwrite(os.path.join(folder, f"{prompt_of(video)}.png"), frame)


def ours(arguments, dimension, folder, out):
    shutil.rmtree(out, ignore_errors=True)
    peak = os.path.join(tempfile.gettempdir(), f"peak-{os.getpid()}")
    code = (
        "import resource,subprocess,sys;"
        "r=subprocess.run(sys.argv[2:],stdout=subprocess.DEVNULL).returncode;"
        "open(sys.argv[1],'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024));"
        "sys.exit(r)"
    )
    command = [
        arguments.vidit, "eval", "run", folder, "--dimensions", dimension, "--weights", arguments.weights, "-o", out,
        "--threads", str(arguments.threads), "--quiet",
    ]
    if dimension in SEMANTIC:
        suite = os.path.join(tempfile.gettempdir(), f"suite-{os.getpid()}.json")
        names = sorted(name.rsplit("-", 1)[0] for name in os.listdir(folder) if name.endswith(".mp4"))
        entries = [
            {"prompt_en": name, "dimension": SEMANTIC, "auxiliary_info": {"appearance_style": {"appearance_style": name}}}
            for name in names
        ]
        with open(suite, "w") as file:
            json.dump(entries, file)
        command += ["--suite", suite, "--samples", "1"]
    else:
        command += ["--custom"]
    if dimension in GIVEN:
        command += ["--i2v", os.path.join(folder, PICTURES)]
    seconds = timed([sys.executable, "-c", code, peak] + command)
    with open(os.path.join(out, "vidit_eval_results.json")) as file:
        result = json.load(file)[dimension]
    return result, seconds, float(open(peak).read())


def reference(arguments, dimension, videos):
    out = os.path.join(tempfile.gettempdir(), f"reference-{os.getpid()}.json")
    timed([
        sys.executable, "-W", "ignore", os.path.join(HERE, "vbench_reference.py"), "run", dimension, *videos,
        "--weights", arguments.weights, "-o", out, "--threads", str(arguments.threads),
    ])
    with open(out) as file:
        told = json.load(file)
    return told["result"], told["secs"], told["peak_mib"], told["load_secs"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--vidit", required=True)
    parser.add_argument("--weights", required=True)
    needs = {"camera_motion": "cotracker", "i2v_background": "dreamsim"}
    there = lambda dimension: dimension not in needs or importlib.util.find_spec(needs[dimension]) is not None
    known = [dimension for dimension in TOLERANCES if there(dimension)]
    parser.add_argument("--dimensions", default=",".join(known))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--out")
    arguments = parser.parse_args()
    work = tempfile.mkdtemp(prefix="vbench-compare-")
    videos = []
    for clip, prompt in zip(sorted(arguments.clips), itertools.cycle(PROMPTS)):
        name = f"{prompt}-0.mp4" if len(arguments.clips) <= len(PROMPTS) else os.path.basename(clip)
        videos.append(shutil.copy(clip, os.path.join(work, name)))
    videos.sort()
    for video in videos:
        write_picture(video)
    # The same called after a motion.
    cameras = tempfile.mkdtemp(prefix="vbench-compare-")
    named = lambda video: os.path.basename(video).replace(".mp4", ", camera pans left-0.mp4")
    moving = [shutil.copy(video, os.path.join(cameras, named(video))) for video in videos]
    failed, told = False, {}
    print(f"{'':24}{'reference':>13}{'vidit':>13}{'difference':>12}{'ref s':>9}{'vidit s':>9}{'ratio':>7}{'ref MiB':>9}{'MiB':>7}")
    for dimension in arguments.dimensions.split(","):
        rows = []
        of_camera = dimension == "camera_motion"
        asked, folder = (moving, cameras) if of_camera else (videos, work)
        for _ in range(arguments.rounds):
            theirs, their_secs, their_peak, _ = reference(arguments, dimension, asked)
            mine, my_secs, my_peak = ours(arguments, dimension, folder, os.path.join(work, "out"))
            rows.append((their_secs, my_secs, their_peak, my_peak))
        by_name = {os.path.basename(v["video_path"]): float(v["video_results"]) for v in mine[-1]}
        worst = max(
            abs(float(v["video_results"]) - by_name[os.path.basename(v["video_path"])]) for v in theirs[1]
        )
        if of_camera:
            types = lambda result: {os.path.basename(v["video_path"]): sorted(v["predict_type"]) for v in result[-1]}
            print(types(theirs))
            # Another motion is another result, even where neither is the one that was asked for.
            worst = max(worst, float(types(theirs) != types(mine)))
        worst = worst / 100 if dimension == "imaging_quality" else worst
        worst = max(worst, abs(float(theirs[0]) - float(mine[0])))
        their_secs, my_secs, their_peak, my_peak = (statistics.median(column) for column in zip(*rows))
        mark = "" if worst <= TOLERANCES[dimension] else f"  above {TOLERANCES[dimension]}"
        failed |= bool(mark)
        print(
            f"{dimension:24}{float(theirs[0]):13.8f}{float(mine[0]):13.8f}{worst:12.1e}{their_secs:9.2f}{my_secs:9.2f}"
            f"{their_secs / my_secs:7.2f}{their_peak:9.0f}{my_peak:7.0f}{mark}",
            flush=True,
        )
        told[dimension] = {
            "reference": theirs[0], "vidit": mine[0], "worst_difference": worst, "reference_secs": their_secs,
            "vidit_secs_with_loading": my_secs, "reference_peak_mib": their_peak, "vidit_peak_mib": my_peak,
        }
    if arguments.out:
        with open(arguments.out, "w") as file:
            json.dump(told, file, indent=1, default=float)
    shutil.rmtree(work)
    shutil.rmtree(cameras)
    sys.exit(failed)


if __name__ == "__main__":
    main()

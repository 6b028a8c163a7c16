"""Holds clips of long videos to VBench-Long's: `vbench_long.py VIDEOS RESULTS [CONFIGS WEIGHTS]`, of which RESULTS is the file that

    vidit eval run VIDEOS --custom --long --dimensions temporal_flickering -o out
    vidit eval run VIDEOS --custom --long --clip-to-clip --dimensions subject_consistency,background_consistency --weights WEIGHTS -o out

leaves as `out/vidit_eval_results.json`. Flicker needs no network. Each clip is compared twice: with the score of the same frames as decord reads
them, and with that of the file that the reference's own function splits off, which has been through an encoder. torchvision's `write_video` is
gone; PyAV stands in for it, with the encoder's settings as they are.

From clip to clip, the reference's own functions look at first frames, as decord reads them and as the video that the reference writes of
them, with the weights that `vbench_reference.py weights` drew and DINOv2's own code (see there); they map and fuse our scores within clips,
which `vbench_compare.py` holds to the reference's. CONFIGS is `vbench2_beta_long/configs` of a clone of Vchitect/VBench.

Packages as in `crates/vbench/src/run/golden/export_long.py`, and av; from clip to clip those of `vbench_compare.py`.
"""

import importlib
import json
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from decord import VideoReader


def write_video(path, frames, fps):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=round(fps))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames.numpy().astype(np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "crates/vbench/src/run/golden"))
import long_reference  # noqa: E402
import vbench_reference  # noqa: E402
from vbench.temporal_flickering import cal_score, mae_seq  # noqa: E402

VIDEOS = Path(sys.argv[1])
RESULTS = json.loads(Path(sys.argv[2]).read_text())
# Before its name is taken by what stands in for it.
export = vbench_reference.dreamsim() if "background_consistency" in RESULTS else None
utils = long_reference.utils(write_video)
split_video_into_clips = utils.split_video_into_clips


def first_frames(video, clips):
    """Of a video's clips, as the reference has them in memory, `[F, 3, H, W]`."""
    frames = VideoReader(str(video), num_threads=1).get_batch([clip["frames"][0] for clip in clips]).asnumpy()
    return torch.Tensor(frames).permute(0, 3, 1, 2)


def between(dimension, configs, weights):
    """Compares what a dimension scores from clip to clip, and what that makes of its whole score."""
    reference = importlib.import_module(f"vbench2_beta_long.{dimension}")
    if dimension == "subject_consistency":
        network = vbench_reference.dinov2()
        network.load_state_dict(torch.load(f"{weights}/{vbench_reference.FILES['dinov2']}"))
        score = lambda paths: reference.subject_consistency_dinov2(network, paths, "cpu", False)
    else:
        network, _ = export.ensemble(f"{weights}/{vbench_reference.FILES['dreamsim']}", export.vit_base, export.vit_base)
        score = lambda paths: reference.background_consistency_dreamsim(network, None, paths, "cpu", False)
    overall, clips, _ = RESULTS[dimension]
    videos = {}
    for clip in clips:
        videos.setdefault(Path(clip["video_path"]).parent.name, []).append(clip)
    several = {name: of for name, of in videos.items() if len(of) > 1}
    read = reference.load_video
    with tempfile.TemporaryDirectory() as folder:
        firsts = {f"{folder}/{name}.mp4": first_frames(VIDEOS / f"{name}.mp4", of) for name, of in several.items()}
        for path, frames in firsts.items():
            utils.save_segment(frames, 24, path)
        encoded = score(list(firsts))[1]
        reference.load_video = firsts.get
        mean, same = score(list(firsts))
        reference.load_video = read
    within = [clip | {"video_results": clip.get("inclip_score", clip["video_results"])} for clip in clips]
    groups = utils.reorganize_clips_results(within)[2]
    options = {"slow_fast_eval_config": f"{configs}/slow_fast_params.yaml", "dev_flag": True}
    for postfix, name in [("sb", "subject"), ("bg", "background")]:
        options[f"{postfix}_mapping_file_path"] = f"{configs}/{name}_mapping_table.yaml"
    fused, details = utils.fuse_inclip_clip2clip(None, mean, groups, same, dimension, **options)
    ours = {name: of[0]["clip2clip_score"] for name, of in several.items()}
    by_name = lambda scores: {Path(one["video_path"]).stem: one["video_results"] for one in scores}
    apart = lambda theirs: max(abs(ours[name] - score) for name, score in by_name(theirs).items())
    whole = max(abs(mine["video_results"] - theirs["video_results"]) for mine, theirs in zip(clips, details))
    print(f"{dimension} from clip to clip, {len(several)} videos: {', '.join(f'{score:.6f}' for score in ours.values())}")
    print(f"largest difference on the same frames {apart(same):.1e}, to a video that was encoded {apart(encoded):.1e}")
    print(f"fused scores of {len(clips)} clips differ by {whole:.1e}, overall {overall:.8f} from {fused:.8f}")


for dimension in ["subject_consistency", "background_consistency"]:
    if dimension in RESULTS:
        with torch.no_grad():
            between(dimension, *sys.argv[3:])
if "temporal_flickering" not in RESULTS:
    sys.exit()

overall, clips, _ = RESULTS["temporal_flickering"]
same, encoded, scores = [], [], []
with tempfile.TemporaryDirectory() as folder:
    for video in sorted(VIDEOS.glob("*.mp4")):
        split_video_into_clips(str(video), folder, 2, fps=8)
    written = {path.name: path for path in Path(folder).rglob("*.mp4")}
    names = [Path(clip["video_path"]).name for clip in clips]
    assert sorted(names) == sorted(written), "other clips"
    for name, clip in zip(names, clips):
        video = VIDEOS / f"{Path(clip['video_path']).parent.name}.mp4"
        frames = VideoReader(str(video), num_threads=1).get_batch(range(*clip["frames"])).asnumpy()
        raw = (255.0 - np.mean(mae_seq([cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames])).item()) / 255.0
        scores.append(cal_score(str(written[name])))
        same.append(abs(clip["video_results"] - raw))
        encoded.append(abs(clip["video_results"] - scores[-1]))
print(f"{len(clips)} clips, the same as the reference's")
print(f"largest difference on the same frames {max(same):.1e}, to clips that were encoded {max(encoded):.1e}")
print(f"overall {overall:.6f}, of clips that were encoded {np.mean(scores):.6f}")

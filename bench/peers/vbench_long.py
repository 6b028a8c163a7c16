"""Holds clips of long videos to VBench-Long's: `vbench_long.py VIDEOS RESULTS`, of which RESULTS is the file that

    vidit eval run VIDEOS --custom --long --dimensions temporal_flickering -o out

leaves as `out/vidit_eval_results.json`. Flicker needs no network. Each clip is compared twice: with the score of the same frames as decord reads
them, and with that of the file that the reference's own function splits off, which has been through an encoder. torchvision's `write_video` is
gone; PyAV stands in for it, with the encoder's settings as they are.

Packages as in `crates/vbench/src/run/golden/export_long.py`, and av.
"""

import json
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
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
from vbench.temporal_flickering import cal_score, mae_seq  # noqa: E402

split_video_into_clips = long_reference.utils(write_video).split_video_into_clips

videos, results = Path(sys.argv[1]), Path(sys.argv[2])
overall, clips, _ = json.loads(results.read_text())["temporal_flickering"]
same, encoded, scores = [], [], []
with tempfile.TemporaryDirectory() as folder:
    for video in sorted(videos.glob("*.mp4")):
        split_video_into_clips(str(video), folder, 2, fps=8)
    written = {path.name: path for path in Path(folder).rglob("*.mp4")}
    names = [Path(clip["video_path"]).name for clip in clips]
    assert sorted(names) == sorted(written), "other clips"
    for name, clip in zip(names, clips):
        video = videos / f"{Path(clip['video_path']).parent.name}.mp4"
        frames = VideoReader(str(video), num_threads=1).get_batch(range(*clip["frames"])).asnumpy()
        raw = (255.0 - np.mean(mae_seq([cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames])).item()) / 255.0
        scores.append(cal_score(str(written[name])))
        same.append(abs(clip["video_results"] - raw))
        encoded.append(abs(clip["video_results"] - scores[-1]))
print(f"{len(clips)} clips, the same as the reference's")
print(f"largest difference on the same frames {max(same):.1e}, to clips that were encoded {max(encoded):.1e}")
print(f"overall {overall:.6f}, of clips that were encoded {np.mean(scores):.6f}")

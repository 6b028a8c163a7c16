"""Cuts the test clips out of a film, and records what the reference's readers and its flicker score make of them.

Usage: python export_clips.py EARTH.MP4   (`arcade/resources/assets/video/earth.mp4` of the Python package arcade 3.3.3)

Writes earth.mp4 (480x270, no tags), earth_709.mp4 (tagged BT.709), earth_b.mp4 (B-frames), earth.gif and clips.json.
"""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import av
import cv2
import decord
import numpy as np
from PIL import Image, ImageSequence
from vbench.temporal_flickering import cal_score

HERE = Path(__file__).parent


def frames(path, step, count):
    with av.open(path) as container:
        decoded = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in decoded[::step][:count]]


def encode(path, pictures, x264, tags=None):
    height, width, _ = pictures[0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"x264-params": x264}
        stream.codec_context.thread_count = 1
        if tags:
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = tags
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def digest(pictures):
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in pictures)).hexdigest()


def opencv(path):
    video, pictures = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        pictures.append(read[1][:, :, ::-1])
    return pictures, video.get(cv2.CAP_PROP_FPS)


def main(film):
    pictures = frames(film, 3, 30)
    small = [cv2.resize(p, (160, 90), interpolation=cv2.INTER_AREA) for p in pictures]
    encode(HERE / "earth.mp4", pictures, "bframes=0:crf=22:keyint=12")
    encode(HERE / "earth_709.mp4", small[:10], "bframes=0:crf=24", tags=1)
    encode(HERE / "earth_b.mp4", small[:10], "bframes=3:b-adapt=0:crf=18")
    gif = [Image.fromarray(p).quantize(16) for p in small[:3]]
    gif[0].save(HERE / "earth.gif", save_all=True, append_images=gif[1:], duration=[80, 160, 80])
    packages = ["opencv-python-headless", "decord", "av", "vbench", "numpy", "pillow"]
    found = {"packages": {name: version(name) for name in packages}}
    for path in sorted(HERE.glob("earth*.mp4")):
        by_opencv, fps = opencv(path)
        reader = decord.VideoReader(str(path), num_threads=1)
        by_decord = list(reader.get_batch(range(len(reader))).asnumpy())
        found[path.name] = {
            "height": by_opencv[0].shape[0],
            "width": by_opencv[0].shape[1],
            "frames": len(by_opencv),
            "fps": fps,
            "opencv": digest(by_opencv),
            "decord": digest(by_decord),
            "flicker": cal_score(str(path)),
        }
        assert len(by_decord) == len(by_opencv) and reader.get_avg_fps() == fps
    stills = [np.array(p.convert("RGB")) for p in ImageSequence.Iterator(Image.open(HERE / "earth.gif"))]
    found["earth.gif"] = {"frames": len(stills), "pil": digest(stills)}
    (HERE / "clips.json").write_text(json.dumps(found, indent=1) + "\n")


main(sys.argv[1])

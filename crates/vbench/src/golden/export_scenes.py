"""Writes `scenes.json`: where PySceneDetect, asked as VBench-Long asks it, sees scenes change in noise that the test repeats.

    pip install scenedetect==0.7.2 opencv-python-headless==4.11.0.86 av numpy==1.26.4
    python export_scenes.py

Noise goes through a file without loss (FFV1, RGB), so that the library reads and scales it itself.
"""

import json
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
from scenedetect import ContentDetector, SceneManager, open_video

THRESHOLD = 35.0
# Height and width: as it is, both ways scaled, and a side that is scaled to halves.
SIZES = [(32, 48), (200, 300), (300, 201), (99, 512)]
# Frames from one change to the next: long ones, short ones that are merged, a last one of one frame.
LENGTHS = [[20, 16, 30], [9, 20, 5, 3, 30, 14, 15, 40], [16, 4, 4, 4, 4, 20, 3, 13, 1], [50], [15, 15, 15, 1]]


def noise(height, width, scene, frame):
    count = height * width * 3
    state = np.uint64(height * 1000 + width + scene * 7919)
    states = np.empty(count, np.uint64)
    multiplier, addend, mask = np.uint64(1664525), np.uint64(1013904223), np.uint64(0xFFFFFFFF)
    states[0] = (state * multiplier + addend) & mask
    done = 1
    # state_n = a^n state + c (a^n - 1) / (a - 1), by doubling.
    while done < count:
        step = min(done, count - done)
        states[done : done + step] = (states[:step] * multiplier + addend) & mask
        addend = (multiplier * addend + addend) & mask
        multiplier = (multiplier * multiplier) & mask
        done += step
    bytes_ = (states >> np.uint64(24)).astype(np.uint8)
    # Each scene darker or brighter than the one before, and never quite still.
    dimmed = bytes_ // 2 + np.uint8(scene % 2 * 96 + frame % 3 * 4)
    return dimmed.reshape(height, width, 3)


def write(path, frames):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = frames[0].shape[0], frames[0].shape[1], "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())


class Watched(ContentDetector):
    scores = ()

    def process_frame(self, timecode, frame_img):
        found = super().process_frame(timecode, frame_img)
        self.scores = [*self.scores, self._frame_score]
        return found


cases = []
for index, lengths in enumerate(LENGTHS):
    height, width = SIZES[index % len(SIZES)]
    scenes = [scene for scene, length in enumerate(lengths) for _ in range(length)]
    frames = [noise(height, width, scene, k) for k, scene in enumerate(scenes)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "noise.mkv")
        write(path, frames)
        _, first = cv2.VideoCapture(str(path)).read()
        assert (first[..., ::-1] == frames[0]).all(), "lossy"
        manager, detector = SceneManager(), Watched(threshold=THRESHOLD)
        manager.add_detector(detector)
        manager.detect_scenes(open_video(str(path)))
        found = [[start.get_frames(), end.get_frames()] for start, end in manager.get_scene_list()]
    # Two frames around the first change, and the last.
    at = sorted({0, 1, min(lengths[0], len(frames) - 1), len(frames) - 1})
    scores = [[k, detector.scores[k]] for k in at]
    cases.append({"height": height, "width": width, "lengths": lengths, "scores": scores, "scenes": found})
text = ",\n".join(f" {json.dumps(case)}" for case in cases)
Path(__file__).with_name("scenes.json").write_text("[\n" + text + "\n]\n")

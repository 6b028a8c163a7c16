"""Writes `reference_eval_results.json` and `reference_full_info.json`: the files that VBench itself leaves.

Three clips of a moving square, scored for the one dimension that needs no network. Only the layout matters.

    pip install vbench==0.1.5 torch==2.15.0 opencv-python-headless==4.11.0.86 numpy==1.26.4 av==18.1.0
    python export.py
"""

import os
import shutil

import av
import numpy as np
import torch
import vbench

HERE = os.path.dirname(os.path.abspath(__file__))
os.makedirs("videos", exist_ok=True)
for index in range(3):
    with av.open(f"videos/a façade, moving-{index}.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for time in range(9):
            frame = np.zeros((128, 160, 3), np.uint8)
            left = 10 + 5 * time * (index + 1) % 90
            frame[20:60, left : left + 40] = [200, 90, 30 + 60 * index]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())

suite = os.path.join(os.path.dirname(vbench.__file__), "VBench_full_info.json")
measure = vbench.VBench(torch.device("cpu"), suite, "out")
measure.evaluate("videos", "reference", dimension_list=["temporal_flickering"], mode="custom_input")
for name in ["reference_eval_results.json", "reference_full_info.json"]:
    shutil.copy(os.path.join("out", name), os.path.join(HERE, name))

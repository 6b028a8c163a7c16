"""Writes `resize.safetensors` and `prepare.safetensors`: what torch, torchvision, Pillow, OpenCV and vbench make of noise.

    python export.py

Images are bytes of a generator that the test repeats, so that only results are stored: every 7th value of those in bytes (as
f16, which holds them exactly) beside the SHA-256 of all, every n-th of those in floats.
"""

import hashlib
import json
import sys
import types
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save_file
from torchvision import transforms
from torchvision.transforms import InterpolationMode

# The reference imports a network that is not needed here, and with it many packages.
for name in ["pyiqa", "pyiqa.archs", "pyiqa.archs.musiq_arch"]:
    sys.modules[name] = types.ModuleType(name)
sys.modules["pyiqa.archs.musiq_arch"].MUSIQ = None

from vbench.imaging_quality import transform as musiq
from vbench.third_party.umt.datasets.video_transforms import CenterCrop, Compose, Normalize, Resize
from vbench.third_party.umt.datasets.volume_transforms import ClipToTensor
from vbench2_beta_i2v.utils import dino_transform_Image_internet, dino_transform_internet, dreamsim_transform, dreamsim_transform_Image
from vbench.utils import clip_transform, clip_transform_Image, dino_transform

HERE = Path(__file__).parent
FLOATS_MAX = 400
RESIZES = [
    ((61, 43), (20, 90)),
    ((33, 47), (70, 100)),
    ((300, 400), (29, 31)),
    ((64, 96), (32, 48)),
    ((50, 70), (50, 33)),
    ((7, 5), (64, 2)),
]
FRAMES = [(240, 426), (426, 240), (270, 480), (256, 300), (300, 256), (512, 512), (569, 700), (224, 224), (96, 160)]


def noise(height, width):
    state = np.uint64(height * 1000 + width)
    count = height * width * 3
    # state_n = a^n state + c (a^n - 1) / (a - 1), by doubling.
    states = np.empty(count, np.uint64)
    multiplier, addend, mask = np.uint64(1664525), np.uint64(1013904223), np.uint64(0xFFFFFFFF)
    states[0] = (state * multiplier + addend) & mask
    done = 1
    while done < count:
        step = min(done, count - done)
        states[done : done + step] = (states[:step] * multiplier + addend) & mask
        addend = (multiplier * addend + addend) & mask
        multiplier = (multiplier * multiplier) & mask
        done += step
    return (states >> np.uint64(24)).astype(np.uint8).reshape(height, width, 3)


def last(image):
    return np.ascontiguousarray(np.moveaxis(np.asarray(image), -3, -1))


tensors, digests = {}, {}


def keep(key, values):
    values = np.ascontiguousarray(values).reshape(-1)
    if values.dtype == np.uint8:
        digests[key] = hashlib.sha256(values.tobytes()).hexdigest()
        tensors[key] = values[::7].astype(np.float16)
    else:
        step = max(1, -(-len(values) // FLOATS_MAX))
        step += step % 3 == 0  # visits all channels
        tensors[key] = values[::step].astype(np.float32)


def write(name):
    packages = ["torch", "torchvision", "pillow", "opencv-python-headless", "vbench", "numpy"]
    metadata = {f"sha256.{key}": value for key, value in digests.items()}
    metadata["packages"] = json.dumps({package: version(package) for package in packages})
    save_file(tensors, HERE / name, metadata)
    tensors.clear(), digests.clear()


for (height, width), size in RESIZES:
    image = noise(height, width)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    floats = planes.float()
    key = f"{height}x{width}.{size[0]}x{size[1]}"
    for kernel in ["bilinear", "bicubic"]:
        mode = InterpolationMode(kernel)
        keep(f"{key}.{kernel}.half_pixel", last(F.interpolate(floats, size, mode=kernel)[0]))
        keep(f"{key}.{kernel}.corners", last(F.interpolate(floats, size, mode=kernel, align_corners=True)[0]))
        scales = ((size[0] + 0.1) / height, (size[1] + 0.1) / width)
        scaled = F.interpolate(floats, scale_factor=scales, mode=kernel)
        if tuple(scaled.shape[-2:]) == size:
            keep(f"{key}.{kernel}.scaled", last(scaled[0]))
        keep(f"{key}.{kernel}.antialias", last(transforms.Resize(size, mode, antialias=True)(floats)[0]))
        keep(f"{key}.{kernel}.bytes", last(transforms.Resize(size, mode, antialias=False)(planes)[0]))
        # Pillow 13 begins with rows where rows shrink and columns grow; up to 11.3 it never did.
        if size[0] >= height or size[1] <= width:
            keep(f"{key}.{kernel}.pillow", transforms.Resize(size, mode)(Image.fromarray(image)))
    keep(f"{key}.opencv", cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR))
write("resize.safetensors")

umt = Compose(
    [
        Resize(256, interpolation="bilinear"),
        CenterCrop(size=(224, 224)),
        ClipToTensor(),
        Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)
for height, width in FRAMES:
    image = noise(height, width)
    key = f"{height}x{width}"
    # As `load_video` makes it: a view whose channels lie last.
    floats = torch.Tensor(image[None]).permute(0, 3, 1, 2)
    keep(f"{key}.dino", last(dino_transform(224)(floats)[0]))
    keep(f"{key}.dino_crop_tensor", last(dino_transform_internet()(floats)[0]))
    keep(f"{key}.dino_crop_pillow", last(dino_transform_Image_internet()(Image.fromarray(image))))
    keep(f"{key}.dreamsim_tensor", last(dreamsim_transform(224)(floats)[0]))
    # With Pillow up to 11.3: 13 begins with rows where these shrink by more than columns.
    keep(f"{key}.dreamsim_pillow", last(dreamsim_transform_Image(224)(Image.fromarray(image))))
    keep(f"{key}.clip_tensor", last(clip_transform(224)(floats)[0]))
    keep(f"{key}.clip_pillow", last(clip_transform_Image(224)(Image.fromarray(image))))
    keep(f"{key}.viclip", last(clip_transform(224)(torch.from_numpy(image[None]).permute(0, 3, 1, 2))[0]))
    keep(f"{key}.umt", last(umt(image[None])[:, 0]))
    for rule in ["longer", "shorter", "shorter_centercrop", "None"]:
        resized = last(musiq(floats, rule)[0])
        keep(f"{key}.musiq_{rule}", resized)
        tensors[f"{key}.musiq_{rule}.size"] = np.array(resized.shape[:2], np.float32)
write("prepare.safetensors")

#!/usr/bin/env python3
"""Renders the animated clips named in objects.json to square sprite strips.

usage: sprites.py OBJECTS_JSON CLIP_FOLDER... SPRITE_FOLDER

Each strip is one lossy WebP with alpha: FRAMES squares of SIDE pixels, left to right, at 12 frames per second.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 80
FRAMES = 36
SOURCE_FRAMES_PER_FRAME = 2  # the source runs at 24 frames per second
MARGIN = 0.03  # of the side, so that no silhouette touches the border of its square
ALPHA_VISIBLE = 8  # of 255: fainter halos do not widen the crop


def source_frames(path):
    """Premultiplied float RGBA of every second source frame, looped to FRAMES."""
    clip = Image.open(path)
    frames = []
    for index in range(FRAMES):
        clip.seek(index * SOURCE_FRAMES_PER_FRAME % clip.n_frames)
        rgba = np.asarray(clip.convert("RGBA"), dtype=np.float32)
        rgba = rgba.copy()
        rgba[..., :3] *= rgba[..., 3:] / 255
        frames.append(rgba)
    return frames


def square_around(frames):
    """The square (left, top, right, bottom) that holds the object in every frame; it may leave the canvas."""
    visible = np.max([frame[..., 3] for frame in frames], axis=0) > ALPHA_VISIBLE
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = max(bottom - top, right - left) * (1 + 2 * MARGIN)
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def shrink(frame, square):
    """One frame cropped and resized to SIDE x SIDE, straight alpha, 8 bits."""
    pad = frame.shape[0]  # a square may leave the canvas by less than one canvas
    padded = np.pad(frame, ((pad, pad), (pad, pad), (0, 0)))
    box = tuple(edge + pad for edge in square)
    planes = [Image.fromarray(padded[..., c]).resize((SIDE, SIDE), Image.LANCZOS, box=box) for c in range(4)]
    small = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    alpha = np.clip(small[..., 3:], 0, 255)
    rgb = np.where(alpha > 0.5, small[..., :3] * 255 / np.maximum(alpha, 0.5), 0)
    return np.round(np.clip(np.concatenate([rgb, alpha], axis=-1), 0, 255)).astype(np.uint8)


def main():
    objects, *folders, out = sys.argv[1:]
    Path(out).mkdir(parents=True, exist_ok=True)
    for entry in json.loads(Path(objects).read_text(encoding="utf-8")):
        path = next(p for folder in folders if (p := Path(folder) / f"{entry['clip']}.webp").exists())
        frames = source_frames(path)
        square = square_around(frames)
        strip = np.concatenate([shrink(frame, square) for frame in frames], axis=1)
        Image.fromarray(strip).save(
            Path(out) / f"{entry['id']}.webp", quality=75, alpha_quality=80, method=6, exact=False
        )


if __name__ == "__main__":
    main()

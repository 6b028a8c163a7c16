#!/usr/bin/env python3
"""Small JPEGs, and beside each what Pillow makes of it by convert("RGB"), as PNG.

    export.py    # writes beside itself; made with Pillow 13.0.0 (libjpeg-turbo), numpy 1.26.4, seed 7
"""

import os

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)
height, width = 27, 37
y, x = np.mgrid[0:height, 0:width]
shades = np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], -1)
picture = Image.fromarray(np.clip(shades + rng.normal(0, 25, shades.shape), 0, 255).astype(np.uint8))
turn = Image.Exif()
turn[0x0112] = 6  # a quarter to the right, which Pillow does not do on its own
for name, image, options in [
    ("420", picture, {"subsampling": 2}),
    ("422", picture, {"subsampling": 1}),
    ("444", picture, {"subsampling": 0, "quality": 92}),
    ("progressive", picture, {"subsampling": 2, "progressive": True, "quality": 60}),
    ("grey", picture.convert("L"), {}),
    ("turned", picture, {"subsampling": 2, "exif": turn}),
    ("inks", picture.convert("CMYK"), {}),
]:
    path = os.path.join(HERE, name + ".jpg")
    image.save(path, **options)
    if name != "inks":
        Image.open(path).convert("RGB").save(os.path.join(HERE, name + ".png"), optimize=True)

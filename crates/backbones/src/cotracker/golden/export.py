"""Writes `tiny.safetensors`: what `cotracker` must compute, from the official code.

The official modules with few channels and random weights, in float32 on one thread; crops of one texture that moves are the frames.
Weights are under the keys of the published checkpoint.

    pip install torch==2.15.0 safetensors==0.8.0 numpy==1.26.4
    git clone https://github.com/facebookresearch/co-tracker && git -C co-tracker checkout 82e02e8
    PYTHONPATH=co-tracker python export.py               writes tiny.safetensors
    PYTHONPATH=co-tracker python export.py --full DIR    writes the published size on ten frames, and prints PyTorch's time

Keys: `weights.*`, `input.texture` (the frames are crops of it), activations and tracks; maps have channels last, and the large ones
are thinned by the strides in their names.
"""

import platform
import sys
from pathlib import Path

import torch
from cotracker.models.core.cotracker import blocks
from cotracker.models.core.cotracker.cotracker import CoTracker2, EfficientUpdateFormer
from cotracker.models.core.embeddings import (
    get_1d_sincos_pos_embed_from_grid,
    get_2d_embedding,
    get_2d_sincos_pos_embed,
)
from cotracker.predictor import CoTrackerPredictor

sys.path.insert(0, str(Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

SEED = 20_230_714
# How much lower and further right each frame shows the texture.
SHIFT = (3, 2)
# The tiny size: latent, hidden, virtual tracks, blocks, heads, width of a head.
LATENT, HIDDEN, VIRTUAL, DEPTH, HEADS, HEAD = 8, 24, 5, 2, 3, 8
# x and y, their embedding, four windows of correlations, a feature, the mask and the visibility.
INPUT = 2 + 128 + 4 * 49 + LATENT + 2


def tiny():
    """A window of four frames, frames of 32 x 40."""
    model = CoTracker2(window_len=4, stride=4, num_virtual_tracks=VIRTUAL, model_resolution=(32, 40))
    model.latent_dim, model.input_dim = LATENT, INPUT
    model.fnet = blocks.BasicEncoder(output_dim=LATENT)
    # Query, context, heads, width of a head, bias.
    blocks.Attention.__init__.__defaults__ = (None, HEADS, HEAD, False)
    model.updateformer = EfficientUpdateFormer(
        DEPTH, DEPTH, INPUT, HIDDEN, HEADS, LATENT + 2, mlp_ratio=1.5, num_virtual_tracks=VIRTUAL
    )
    model.time_emb = get_1d_sincos_pos_embed_from_grid(INPUT, torch.arange(4.0))
    model.pos_emb = get_2d_sincos_pos_embed(INPUT, (8, 10))
    model.norm = torch.nn.GroupNorm(1, LATENT)
    model.track_feat_updater[0] = torch.nn.Linear(LATENT, LATENT)
    model.vis_predictor[0] = torch.nn.Linear(LATENT, 1)
    return model


def draw(name, noise):
    value = noise * (1.6 / noise[0].numel()) ** 0.5
    if name.endswith("virual_tracks"):
        return noise
    if name.endswith("updateformer.input_transform.weight"):
        # The embedding's waves are as short as a 150th of a pixel: rounding of places, times a thousand, would be most of what tracks
        # of a network that minds them consist of.
        value[:, 2:130] *= 0.02
    if name.endswith("flow_head.weight"):
        # Steps of about half a pixel of the feature map.
        value[:2] *= 0.05
    return value


def texture(generator, height, width):
    """Blobs of several sizes, 0 to 255, whole numbers."""
    total = torch.zeros(1, 3, height, width)
    for cells in (3, 9, 27):
        noise = torch.randn(1, 3, cells, cells, generator=generator)
        total += torch.nn.functional.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)
    total -= total.min()
    return (total * 255 / total.max()).round()


def video(image, frames, height, width):
    down, right = SHIFT
    return torch.stack([image[0, :, i * down : i * down + height, i * right : i * right + width] for i in range(frames)])[None]


def trace(predictor, frames, grid, thin):
    """The official forward pass, and what its parts gave."""
    model = predictor.model
    former = model.updateformer
    modules = {"features": model.fnet, "delta": former, "virtual2point": former.space_virtual2point_blocks[0]}
    modules |= {"space": former.space_virtual_blocks[0], "point2virtual": former.space_point2virtual_blocks[0]}
    modules |= {"time": former.time_blocks[0]}
    seen_inputs, windows = [], []
    hook = former.input_transform.register_forward_pre_hook(lambda _, inputs: seen_inputs.append(inputs[0]))
    official = CoTracker2.forward_window

    def kept(self, **arguments):
        windows.append(official(self, **arguments))
        return windows[-1]

    CoTracker2.forward_window = kept
    with exporting.watched(modules, each=True) as seen:
        tracks, _ = predictor(frames, grid_size=grid)
    CoTracker2.forward_window = official
    hook.remove()
    features = seen["features"][0].movedim(1, -1)
    time, points = seen["time"][0], grid * grid
    out = {
        f"features.0.thinned{thin}": features[0, ::thin, ::thin],
        f"features.1.thinned{thin}": features[1, ::thin, ::thin],
        "inputs": seen_inputs[0][0, :: thin - 1, ::3],
        "points": time[:points][:: thin - 1].movedim(0, 1)[::3],
        "virtual": time[points:].movedim(0, 1)[::3],
        "virtual2point": seen["virtual2point"][0][::3],
        "space": seen["space"][0][::3],
        "point2virtual": seen["point2virtual"][0][::3, :: thin - 1],
        "delta": seen["delta"][0][0, :: thin - 1],
    }
    for i, (places, visible) in enumerate(windows):
        for step in sorted({0, 1, len(places) - 1}):
            # [S, N, 2] as [N, S, 2], in pixels of the network's frames.
            out[f"window.{i}.places.{step}"] = places[step][0].movedim(0, 1)
        out[f"window.{i}.visible"] = visible[0].T
    out["tracks"] = tracks[0]
    return out


def main():
    options = exporting.begin(__file__, SEED)
    generator = torch.Generator().manual_seed(SEED)
    predictor = CoTrackerPredictor(checkpoint=None, window_len=8, v2=True)
    if not options.full:
        predictor.model = tiny()
    predictor.eval()
    predictor.interp_shape = predictor.model.model_resolution
    exporting.randomise(predictor.model, generator, draw)
    count, grid, (height, width) = (10, 10, (270, 480)) if options.full else (7, 3, (37, 45))
    image = texture(generator, height + SHIFT[0] * (count - 1), width + SHIFT[1] * (count - 1))
    frames = video(image, count, height, width)
    activations = trace(predictor, frames, grid, 4 if options.full else 2)
    if not options.full:
        moves = 3 * torch.randn(1, 6, 2, generator=generator)
        activations["waves"] = get_2d_embedding(moves, 64)[0]
    tensors = exporting.weights(predictor.model.state_dict())
    # Whole numbers up to 255 are exact in bf16.
    tensors["input.texture"] = image[0].movedim(0, -1).to(torch.bfloat16)
    if not options.full:
        tensors["input.moves"] = moves[0]
    metadata = {"seed": str(SEED), "python": platform.python_version()} | exporting.versions("torch")
    metadata |= {"official": "facebookresearch/co-tracker 82e02e8", "frames": str(count), "grid": str(grid)}
    metadata |= {"size": f"{height} {width}", "shift": f"{SHIFT[0]} {SHIFT[1]}", "heads": str(8 if options.full else HEADS)}
    exporting.write(options.path, tensors | activations, metadata)
    exporting.print_scales(activations)
    exporting.print_time(f"{count} frames of {height}x{width}", lambda: predictor(frames, grid_size=grid), options.runs if options.full else 0)


main()

"""Writes `tiny.safetensors`: what `amt` must compute, from the official code that the `vbench` wheel carries.

The official modules with few channels and random weights, in float32 on one thread; two crops of one texture are the frames,
so that there is a motion. Weights are under the keys of the published checkpoint's `state_dict`.

    pip install torch==2.15.0 vbench==0.1.5 safetensors==0.8.0 numpy==1.26.4
    python export.py                  writes tiny.safetensors
    python export.py --full DIR       writes the published size at two sizes of frames, and prints PyTorch's times

Keys: `weights.*`, `input.texture` (the frames are crops of it, divided by 255), activations and the result with channels last,
of which the large ones are thinned by the strides in their names.
"""

import importlib
import platform
import resource
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from vbench.third_party.amt.networks.blocks.feat_enc import SmallEncoder
from vbench.third_party.amt.networks.blocks.raft import SmallUpdateBlock
from vbench.third_party.amt.utils.utils import InputPadder

Model = importlib.import_module("vbench.third_party.amt.networks.AMT-S").Model

torch.set_grad_enabled(False)

SEED = 20_230_418
# The second frame shows the texture this much lower and further right.
SHIFT = (2, 5)
EMBT = torch.tensor(0.5).view(1, 1, 1, 1)


def shrink_encoder(encoder, widths, output):
    """The layers of `SmallEncoder` with other widths; its forward pass stays."""
    encoder.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3)
    encoder.norm1 = nn.InstanceNorm2d(widths[0])
    encoder.in_planes = widths[0]
    encoder.layer1 = encoder._make_layer(widths[0], stride=1)
    encoder.layer2 = encoder._make_layer(widths[1], stride=2)
    encoder.layer3 = encoder._make_layer(widths[2], stride=2)
    encoder.conv2 = nn.Conv2d(widths[2], output, 1)


def tiny():
    channels = [4, 5, 6, 7]
    model = Model(channels=channels, skip_channels=3)
    model.feat_encoder = SmallEncoder(output_dim=18, norm_fn="instance", dropout=0.0)
    shrink_encoder(model.feat_encoder, (8, 8, 12), 18)

    def update(width, scale):
        return SmallUpdateBlock(width, hidden_dim=7, flow_dim=3, corr_dim=5, fc_dim=6, scale_factor=scale, radius=3)

    model.update4, model.update3, model.update2 = update(6, None), update(5, 2), update(4, 4)
    return model


def draw(model, generator):
    """No bias or slope keeps its first value; flows stay within some pixels and colours mostly within 0 and 1."""
    for name, parameter in model.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.1 * value
        elif parameter.dim() == 1:
            value = 0.25 + 0.1 * value
        else:
            # A transposed convolution of stride 2 adds a quarter of its taps.
            fan_in = parameter[:, 0].numel() / 4 if "convblock.2" in name else parameter[0].numel()
            value = value * (1.6 / fan_in) ** 0.5
        if "convblock.2.weight" in name and "decoder1" not in name:
            value[:, :4] = 0.3 * value[:, :4]
        if "_head.2" in name or "decoder1.convblock.2" in name or name.startswith("comb_block.2"):
            value = 0.2 * value
        parameter.copy_(value)


def texture(height, width, generator):
    """Blobs of several sizes, 0 to 255, whole numbers."""
    total = torch.zeros(1, 3, height, width)
    for cells in (3, 9, 27):
        noise = torch.randn(1, 3, cells, cells, generator=generator)
        total += F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)
    total -= total.min()
    return (total * 255 / total.max()).round()


def crops(image, height, width):
    down, right = SHIFT
    frames = image[..., :height, :width], image[..., down : down + height, right : right + width]
    return [frame / 255.0 for frame in frames]


def last(x, every=1):
    """Channels last, no batch, every so many rows and columns."""
    return x[0].movedim(0, -1)[::every, ::every].contiguous()


def trace(model, first, second, every):
    """The official forward pass, and what its parts gave."""
    seen = {}

    def keep(name):
        def hook(_, __, output):
            seen.setdefault(name, []).append(output)

        return hook

    modules = ["feat_encoder", "encoder", "decoder4", "decoder3", "decoder2", "decoder1", "update4", "update3", "update2"]
    handles = [getattr(model, name).register_forward_hook(keep(name)) for name in modules]
    out = model(first, second, EMBT)
    for handle in handles:
        handle.remove()
    activations = {}

    def put(name, *parts):
        """As many rows and columns of each map as an eighth of the frame has, or every so many of them."""
        value = torch.cat(parts, 1)
        stride = max(1, value.shape[2] * 8 * every // first.shape[2])
        activations[f"{name}.thinned{every}"] = last(value, stride)

    for frame in range(2):
        put(f"features.{frame}", seen["feat_encoder"][0][frame])
        for level in range(4):
            put(f"pyramid.{frame}.{level}", seen["encoder"][frame][level])
    for level in (4, 3, 2):
        flow0, flow1, feature = seen[f"decoder{level}"][0]
        put(f"decoded.{level}", flow0, flow1)
        put(f"feature.{level}", feature)
        put(f"update.{level}", seen[f"update{level}"][0][0])
        put(f"flow.{level}", *(out[f"flow{i}_pred"][level - 1] for i in range(2)))
        put(f"feature.{level}.updated", out["ft_pred"][level - 2])
    flows = [out[f"flow{i}_pred"][0].flatten(1, 2) for i in range(2)]
    put("decoded.1", *flows, *seen["decoder1"][0][2:])
    activations["midpoint"] = out["imgt_pred"]
    return activations


def write(path, model, image, size, every):
    first, second = crops(image, *size)
    padder = InputPadder(first.shape, 16)
    first, second = padder.pad(first, second)
    activations = trace(model, first, second, every)
    # Whole rows and columns of the frame, not of the padded one.
    midpoint = padder.unpad(activations.pop("midpoint"))
    activations[f"midpoint.thinned{every + 1}"] = last(midpoint, every + 1)
    tensors = {f"weights.{name}": value.clone() for name, value in model.state_dict().items()}
    # Whole numbers up to 255 are exact in bf16.
    tensors["input.texture"] = last(image).to(torch.bfloat16)
    tensors.update(activations)
    metadata = {
        "seed": str(SEED),
        "size": f"{size[0]} {size[1]}",
        "shift": f"{SHIFT[0]} {SHIFT[1]}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "vbench": version("vbench"),
        "official": "vbench.third_party.amt, AMT-S",
    }
    save_file(tensors, path, metadata=metadata)
    for name, value in activations.items():
        print(f"{name:32} {tuple(value.shape)} largest {value.abs().max():.3f} deviation {value.std():.3f}")
    print(path, path.stat().st_size)
    return first, second


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    if len(sys.argv) == 3 and sys.argv[1] == "--full":
        model = Model().eval()
        draw(model, generator)
        for height, width in ((240, 320), (256, 448)):
            image = texture(height + SHIFT[0], width + SHIFT[1], generator)
            path = Path(sys.argv[2]) / f"amt-{height}x{width}.safetensors"
            first, second = write(path, model, image, (height, width), 1)
            torch.set_num_threads(2)
            seconds, used = [], processor_seconds()
            for _ in range(5):
                start = time.perf_counter()
                model(first, second, EMBT, eval=True)
                seconds.append(time.perf_counter() - start)
            used = (processor_seconds() - used) / len(seconds)
            torch.set_num_threads(1)
            print(f"{height}x{width}: median {statistics.median(seconds):.3f} s, processors {used:.3f} s each")
        return
    model = tiny().eval()
    draw(model, generator)
    image = texture(121 + SHIFT[0], 139 + SHIFT[1], generator)
    write(Path(__file__).parent / "tiny.safetensors", model, image, (121, 139), 2)


main()

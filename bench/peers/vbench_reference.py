#!/usr/bin/env python3
"""Runs dimensions of the VBench reference (vbench 0.1.5) on a CPU with random weights, to hold `vidit eval run` to.

    vbench_reference.py weights DIR [--seed 7]      random checkpoints at full size, under the published names
    vbench_reference.py run DIM VIDEO... --weights DIR -o OUT.json [--threads 2]

Semantic dimensions take a video's prompt and style from its name, `PROMPT-0.mp4`; `i2v_background` the given picture `PROMPT.png` from
the folder PICTURES beside it. DINOv2's weights are drawn if DINOV2 names a clone of its code. `run` does one dimension in a process of its own and writes its result, the seconds that it took beside loading the network, and the
process' peak memory. Nothing here downloads anything. Needs torch, torchvision, vbench 0.1.5, openai-clip, pyiqa, opencv, decord, timm,
omegaconf and their dependencies, for DreamSim dreamsim and peft; see requirements in bench/peers/vbench_compare.py. `camera_motion` needs a
clone of facebookresearch/co-tracker on PYTHONPATH, too (its licence forbids commercial use).
"""

import argparse
import importlib
import importlib.util
import json
import os
import resource
import shutil
import sys
import time
import types

FILES = {
    "dino": "dino_vitbase16_pretrain.pth",
    "clip_b": "ViT-B-32.pt",
    "clip_l": "ViT-L-14.pt",
    "aesthetic": "sa_0_4_vit_l_14_linear.pth",
    "musiq": "musiq_spaq_ckpt-358bb6af.pth",
    "amt": "amt-s.pth",
    "raft": "raft-things.pth",
    "viclip": "ViClip-InternVid-10M-FLT.pth",
    "umt": "l16_ptk710_ftk710_ftk400_f16_res224.pth",
    "cotracker": "cotracker2.pth",
    # A folder: files of several networks and their adapter.
    "dreamsim": "models",
    "dinov2": "dinov2_vitb14_pretrain.pth",
}
# Words of CLIP and ViCLIP, where the reference looks for them.
WORDS = "ViCLIP/bpe_simple_vocab_16e6.txt.gz"
NETWORKS = {
    "subject_consistency": ["dino"],
    "background_consistency": ["clip_b"],
    "temporal_flickering": [],
    "motion_smoothness": ["amt"],
    "dynamic_degree": ["raft"],
    "aesthetic_quality": ["clip_l", "aesthetic"],
    "imaging_quality": ["musiq"],
    "appearance_style": ["clip_b"],
    "temporal_style": ["viclip"],
    "overall_consistency": ["viclip"],
    "human_action": ["umt"],
    "camera_motion": ["cotracker"],
    "i2v_background": ["dreamsim"],
}
PICTURES = "pictures"


def dino():
    """DINO's ViT-B/16 on timm's blocks: its own code only differs in how positions are interpolated."""
    import torch
    from timm.models.vision_transformer import VisionTransformer

    class Dino(VisionTransformer):
        def forward(self, x):
            _, _, h, w = x.shape
            x = torch.nn.functional.conv2d(x, self.patch_embed.proj.weight, self.patch_embed.proj.bias, stride=16)
            x = x.flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
            x = x + self.positions(h // 16, w // 16)
            for block in self.blocks:
                x = block(x)
            return self.norm(x)[:, 0]

        def positions(self, rows, columns):
            side = 14
            if (rows, columns) == (side, side):
                return self.pos_embed
            grid = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
            scale = ((rows + 0.1) / side, (columns + 0.1) / side)
            grid = torch.nn.functional.interpolate(grid, scale_factor=scale, mode="bicubic")
            return torch.cat([self.pos_embed[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)

    return Dino(patch_size=16, embed_dim=768, depth=12, num_heads=12, num_classes=0, qkv_bias=True)


def clip(size):
    from clip.model import CLIP

    if size == "b":
        return CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 12)
    return CLIP(768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12)


def without_pyiqa_imports():
    """Registers empty packages so that pyiqa.archs.musiq_arch can be imported alone."""
    import site

    for folder in site.getsitepackages():
        root = os.path.join(folder, "pyiqa")
        if os.path.isdir(root):
            break
    for name in ["pyiqa", "pyiqa.archs", "pyiqa.utils", "pyiqa.data"]:
        module = types.ModuleType(name)
        module.__path__ = [os.path.join(root, *name.split(".")[1:])]
        sys.modules.setdefault(name, module)


def amt():
    from omegaconf import OmegaConf
    import vbench
    from vbench.third_party.amt.utils.build_utils import build_from_cfg

    config = os.path.join(os.path.dirname(vbench.__file__), "third_party/amt/cfgs/AMT-S.yaml")
    return build_from_cfg(OmegaConf.load(config).network)


def umt():
    from timm.models import create_model
    import vbench.third_party.umt.models.modeling_finetune  # noqa: F401

    network = create_model(
        "vit_large_patch16_224", pretrained=False, num_classes=400, all_frames=16, tubelet_size=1,
        use_learnable_pos_emb=False, fc_drop_rate=0.0, drop_rate=0.0, drop_path_rate=0.2, attn_drop_rate=0.0,
        drop_block_rate=None, use_checkpoint=False, checkpoint_num=16, use_mean_pooling=True, init_scale=0.001,
    )
    # Drawn small, no action would be likely; one is made likely in every video, so that names decide.
    import torch

    torch.nn.init.normal_(network.head.weight, std=0.06)
    network.head.bias.data[0] = 20.0
    return network


def cotracker():
    from cotracker.predictor import CoTrackerPredictor

    # As torch.hub's `cotracker2` makes it.
    return CoTrackerPredictor(checkpoint=None, window_len=8, v2=True)


def spread_cotracker():
    """Drawn as its authors do, no point would move by a pixel, whatever is seen."""
    import torch

    network = cotracker().model
    for name, p in network.named_parameters():
        if p.dim() > 1 and "virual" not in name:
            torch.nn.init.normal_(p, std=(1.6 / p[0].numel()) ** 0.5)
    former = network.updateformer
    # Steps of parts of a pixel; waves are so short that rounding of places would decide, were they heeded more.
    former.flow_head.weight.data[:2] *= 0.05
    former.input_transform.weight.data[:, 2:130] *= 0.02
    return network


def camera(path):
    """The reference's rules around the network, without the hub that fetches it."""
    import torch

    for name in ["", ".cotracker", ".cotracker.utils", ".cotracker.utils.visualizer"]:
        stub = types.ModuleType(f"vbench2_beta_i2v.third_party{name}")
        stub.Visualizer = None
        sys.modules[stub.__name__] = stub
    module = importlib.import_module("vbench2_beta_i2v.camera_motion")
    predict = object.__new__(module.CameraPredict)
    predict.device, predict.grid_size, predict.number_points = torch.device("cpu"), 10, 1
    predict.model = cotracker()
    predict.model.model.load_state_dict(torch.load(path))
    return module, predict


def dreamsim():
    """What writes DreamSim's files, and loads them by its own code: the exporter of its golden."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.join(here, "../../crates/backbones/src/dreamsim/golden"))
    import export

    return export


def write_dreamsim(folder, seed):
    """Needs DINO's weights, which are there already."""
    import torch

    export, to = dreamsim(), os.path.join(folder, FILES["dreamsim"])
    torch.manual_seed(seed)
    with torch.no_grad():
        export.write_checkpoint(to, export.vit_base, export.vit_base, 512, export.LORA)
    shutil.copy(os.path.join(folder, FILES["dino"]), os.path.join(to, export.FILES[0]))


def dinov2():
    """DINOv2 ViT-B/14 by its own code, as its hub makes it: a clone of facebookresearch/dinov2 is named by DINOV2."""
    sys.path.insert(0, os.environ["DINOV2"])
    from dinov2.models.vision_transformer import vit_base

    return vit_base(img_size=518, patch_size=14, init_values=1.0, ffn_layer="mlp", block_chunks=0).eval()


def without_pkg_resources():
    """ViCLIP's tokenizer asks it for versions only."""
    if "pkg_resources" not in sys.modules:
        import packaging.version

        sys.modules["pkg_resources"] = types.SimpleNamespace(packaging=packaging)


def prompt_of(video):
    return os.path.basename(video).rsplit("-", 1)[0]


def raft_arguments(path):
    from easydict import EasyDict

    return EasyDict({"model": path, "small": False, "mixed_precision": False, "alternate_corr": False})


def write_weights(folder, seed):
    import torch

    os.makedirs(folder, exist_ok=True)
    without_pyiqa_imports()
    without_pkg_resources()
    # Importing ViCLIP's tokenizer opens the words.
    os.environ["VBENCH_CACHE_DIR"] = folder
    import clip as openai

    os.makedirs(os.path.join(folder, os.path.dirname(WORDS)), exist_ok=True)
    words = os.path.join(os.path.dirname(openai.__file__), os.path.basename(WORDS))
    shutil.copy(words, os.path.join(folder, WORDS))
    from pyiqa.archs.musiq_arch import MUSIQ
    from vbench.third_party.RAFT.core.raft import RAFT

    def keep(name, make, wrap=lambda state: state):
        torch.manual_seed(seed)
        state = make().state_dict()
        torch.save(wrap(state), os.path.join(folder, FILES[name]))
        print(FILES[name], sum(t.numel() for t in state.values()), flush=True)

    def spread(network):
        # timm starts with small weights: blocks would hardly change what comes in.
        for name, p in network.named_parameters():
            if p.dim() > 1:
                torch.nn.init.normal_(p, std=0.5 * p[0].numel() ** -0.5 if "pos" not in name else 0.3)
        return network

    keep("dino", lambda: spread(dino()))
    if "DINOV2" in os.environ:
        keep("dinov2", lambda: spread(dinov2()))
    keep("clip_b", lambda: clip("b").float())
    keep("clip_l", lambda: clip("l").float())
    keep("aesthetic", lambda: torch.nn.Linear(768, 1))
    keep("musiq", lambda: MUSIQ(pretrained=False))
    keep("amt", amt, lambda state: {"state_dict": state})
    keep("raft", lambda: RAFT(raft_arguments("")), lambda state: {f"module.{k}": v for k, v in state.items()})
    from vbench.third_party.ViCLIP.viclip import ViCLIP


    def spread_viclip():
        network = ViCLIP(tokenizer="none", pretrain=None)
        # Some of its tensors are left as memory was.
        for name, p in network.named_parameters():
            if "embedding" in name:
                torch.nn.init.normal_(p.data, std=0.1)
            elif p.dim() > 1:
                torch.nn.init.normal_(p.data, std=p[0].numel() ** -0.5)
        return network

    keep("viclip", spread_viclip, lambda state: {"model": state})
    keep("umt", umt)
    if importlib.util.find_spec("cotracker"):
        keep("cotracker", spread_cotracker)
    else:
        print("cotracker is not on PYTHONPATH: no weights for camera_motion")
    if importlib.util.find_spec("dreamsim"):
        write_dreamsim(folder, seed)
    else:
        print("dreamsim is not installed: no weights for i2v_background")


def run(dimension, videos, weights, out, threads):
    import torch

    torch.set_num_threads(threads)
    import cv2

    cv2.setNumThreads(threads)
    without_pyiqa_imports()
    without_pkg_resources()
    os.environ["VBENCH_CACHE_DIR"] = weights
    path = {name: os.path.join(weights, FILES[name]) for name in NETWORKS[dimension]}
    device = torch.device("cpu")
    package = "vbench2_beta_i2v" if dimension.startswith("i2v_") else "vbench"
    module = None if dimension == "camera_motion" else importlib.import_module(f"{package}.{dimension}")
    began = time.monotonic()
    if dimension == "subject_consistency":
        network = dino()
        network.load_state_dict(torch.load(path["dino"]))
        network.eval()
        work = lambda: module.subject_consistency(network, videos, device, False)
    elif dimension == "background_consistency":
        from clip.model import build_model

        network = build_model(torch.load(path["clip_b"])).float().eval()
        work = lambda: module.background_consistency(network, None, videos, device, False)
    elif dimension == "aesthetic_quality":
        from clip.model import build_model

        network = build_model(torch.load(path["clip_l"])).float().eval()
        head = torch.nn.Linear(768, 1)
        head.load_state_dict(torch.load(path["aesthetic"]))
        work = lambda: module.laion_aesthetic(head, network, videos, device)
    elif dimension == "imaging_quality":
        network = module.MUSIQ(pretrained=False)
        network.load_state_dict(torch.load(path["musiq"]))
        network.training = False
        work = lambda: module.technical_quality(network, videos, device)
    elif dimension == "motion_smoothness":
        import vbench

        config = os.path.join(os.path.dirname(vbench.__file__), "third_party/amt/cfgs/AMT-S.yaml")
        network = module.MotionSmoothness(config, path["amt"], device)
        work = lambda: module.motion_smoothness(network, videos)
    elif dimension == "dynamic_degree":
        network = module.DynamicDegree(raft_arguments(path["raft"]), device)
        work = lambda: module.dynamic_degree(network, videos)
    elif dimension == "appearance_style":
        from clip.model import build_model

        network = build_model(torch.load(path["clip_b"])).float().eval()
        asked = [{"prompt": "", "video_list": [v], "auxiliary_info": {dimension: prompt_of(v)}} for v in videos]
        work = lambda: module.appearance_style(network, asked, device)
    elif dimension in ["temporal_style", "overall_consistency"]:
        tokenizer = module.SimpleTokenizer(os.path.join(weights, WORDS))
        network = module.ViCLIP(tokenizer=tokenizer, pretrain=path["viclip"]).eval()
        asked = [{"prompt": prompt_of(v), "video_list": [v]} for v in videos]
        work = lambda: getattr(module, dimension)(network, asked, tokenizer, device)
    elif dimension == "i2v_background":
        export = dreamsim()
        network, _ = export.ensemble(path["dreamsim"], export.vit_base, export.vit_base)
        pictures = [os.path.join(os.path.dirname(v), PICTURES, f"{prompt_of(v)}.png") for v in videos]
        work = lambda: module.i2v_background(network, list(zip(pictures, videos)), device)
    elif dimension == "human_action":
        # Loads its network itself, which counts as its time.
        work = lambda: module.human_action(path["umt"], videos, device)
    elif dimension == "camera_motion":
        module, network = camera(path["cotracker"])
        work = lambda: module.camera_motion(network, videos)
    else:
        work = lambda: module.temporal_flickering(videos)
    loaded = time.monotonic()
    # Motions of the camera have means by type in between.
    overall, *_, per_video = work()
    done = time.monotonic()
    told = {
        "dimension": dimension,
        "result": [float(overall), per_video],
        "load_secs": loaded - began,
        "secs": done - loaded,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    with open(out, "w") as file:
        json.dump(told, file, default=float, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("weights")
    verb.add_argument("folder")
    verb.add_argument("--seed", type=int, default=7)
    verb = verbs.add_parser("run")
    verb.add_argument("dimension", choices=NETWORKS)
    verb.add_argument("videos", nargs="+")
    verb.add_argument("--weights", required=True)
    verb.add_argument("-o", "--out", required=True)
    verb.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.verb == "weights":
        write_weights(arguments.folder, arguments.seed)
    else:
        run(arguments.dimension, arguments.videos, arguments.weights, arguments.out, arguments.threads)


if __name__ == "__main__":
    main()

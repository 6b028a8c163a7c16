"""Writes `tiny.safetensors`: what `grit` must compute, from GRiT's own modules as the `vbench` wheel has them.

A tiny network with random weights (drawn in float32, rounded to float16 as the published ones are), in float32 on one thread.
detectron2 is stood in for by `detectron2_pieces.py`; masks, which no score reads, are left out.

    pip install torch==2.15.0 torchvision==0.29.2 transformers==4.33.2 timm==1.0.12 fvcore==0.1.5.post20221221
    pip install safetensors==0.8.0 'numpy<2' opencv-python-headless==4.11.0.86 && pip install --no-deps vbench==0.1.5
    python export.py                   # tiny.safetensors and vocabulary.txt beside this file
    python export.py --full FOLDER     # the published sizes at 480×832, and how long they take with two threads

Keys: `weights.*` as in a published checkpoint, `input.image [H, W, 3]`, and activations in the order of computation, maps channels
last. Metadata: seed, versions, the settings of the run, names and captions (joined by new lines).
"""

import importlib.util
import json
import math
import platform
import sys
from functools import partial
from pathlib import Path

import torch
import transformers
from torch import nn

import detectron2_pieces as pieces

sys.path.insert(0, str(Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

pieces.install(Path(importlib.util.find_spec("vbench").submodule_search_locations[0]))

from centernet.modeling.backbone.fpn_p5 import LastLevelP6P7_P5
from centernet.modeling.dense_heads.centernet import CenterNet
from centernet.modeling.dense_heads.centernet_head import CenterNetHead
from vbench.third_party.grit_src.grit.modeling.backbone import vit
from vbench.third_party.grit_src.grit.modeling.meta_arch.grit import GRiT
from vbench.third_party.grit_src.grit.modeling.roi_heads import grit_roi_heads
from vbench.third_party.grit_src.grit.modeling.roi_heads.grit_fast_rcnn import GRiTFastRCNNOutputLayers
from vbench.third_party.grit_src.grit.modeling.text.text_decoder import TransformerDecoderTextualHead

TINY = {
    "seed": 3,
    "image": [70, 50],
    "vit": {"embed_dim": 16, "depth": 4, "num_heads": 2, "window_size": 4, "window_block_indexes": [0, 2]}
    | {"img_size": 80, "pretrain_img_size": 48},
    "channels": 20,
    "groups": 5,
    "towers": 4,
    "proposals": {"per_level": 60, "count": 20, "score_min": 0.2, "overlap_max": 0.8},
    "boxes": {"width": 12, "side": 4, "score_min": 0.5, "overlap_max": 0.6, "count": 5},
    "text": {"width": 32, "layers": 2, "heads": 4, "hidden": 48, "places": 48, "side": 5, "words": 144},
}
FULL = {
    "seed": 3,
    "image": [480, 832],
    "vit": {"embed_dim": 768, "depth": 12, "num_heads": 12, "window_size": 14}
    | {"window_block_indexes": [0, 1, 3, 4, 6, 7, 9, 10], "img_size": 1024, "pretrain_img_size": 224},
    "channels": 256,
    "groups": 32,
    "towers": 4,
    "proposals": {"per_level": 1000, "count": 256, "score_min": 1e-4, "overlap_max": 0.9},
    "boxes": {"width": 1024, "side": 7, "score_min": None, "overlap_max": 0.5, "count": 256},
    "text": {"width": 768, "layers": 6, "heads": 12, "hidden": 3072, "places": 1024, "side": 14, "words": 30522},
}
REGRESSION = [(10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15)]
# Added to the logit of the end: some texts are short then, and some are not.
ENDING = 6.0
# So many detections at the published sizes: random scores need another threshold than trained ones.
FULL_DETECTIONS = 8


def vocabulary(words):
    """Special tokens where bert-base-uncased has them; words, their continuations, and signs that are joined to the word before."""
    tokens = [f"[unused{i}]" for i in range(words)]
    for i, name in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}.items():
        tokens[i] = name
    for i in range(1, 100):
        tokens[i] = f"##{chr(97 + i % 26)}{i}" if i % 3 == 0 else f"word{i}"
    signs = [".", ",", "?", "!", "'", "s", "m", "re", "ve", "n", "t", "n't", "don", "i", "café"]
    tokens[104 : 104 + len(signs)] = signs
    return tokens


def draw(model, generator):
    """Norm weights around 1, biases around 0, all others at the deviation that keeps activations level; rounded to float16."""
    norms = {id(m.weight) for m in model.modules() if isinstance(m, (nn.LayerNorm, nn.GroupNorm))}
    for name, parameter in model.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        if id(parameter) in norms:
            value = 1 + 0.3 * value
        elif name.endswith("bbox_pred.bias") and "centernet" in name:
            value = 3 + value
        elif name.endswith("bias"):
            value = 0.2 * value
        elif name.endswith("scale"):
            value = 1 + 0.2 * value
        elif "words" in name or "positions" in name:
            value = 2.8 * value / math.sqrt(parameter.shape[1])
        elif "pos" in name and value.dim() < 4:
            value = value / math.sqrt(parameter.shape[-1])
        elif "transformer" in name:  # twice the deviation: what a token is must not drown what is around it
            value = 2 * value / math.sqrt(parameter[0].numel())
        else:
            value = value / math.sqrt(parameter[0].numel())
        if name.endswith("output.bias"):
            value[102] += ENDING
        parameter.copy_(value.half().float())


def build(sizes, vocabulary_path):
    channels, boxes, text = sizes["channels"], sizes["boxes"], sizes["text"]
    strides = [8, 16, 32, 64, 128]
    body = vit.ViT(
        use_rel_pos=True, norm_layer=partial(nn.LayerNorm, eps=1e-6), use_act_checkpoint=False, **sizes["vit"]
    )
    backbone = vit.ViT_FPN(
        body, LastLevelP6P7_P5(channels, channels), channels, strides, sizes["vit"]["embed_dim"]
    )
    head = CenterNetHead(
        channels,
        5,
        num_classes=1,
        with_agn_hm=True,
        only_proposal=True,
        norm=f"GN{sizes['groups']}",
        num_box_convs=sizes["towers"],
    )
    generator = CenterNet(
        channels,
        num_classes=1,
        score_thresh=sizes["proposals"]["score_min"],
        with_agn_hm=True,
        only_proposal=True,
        pre_nms_topk_test=sizes["proposals"]["per_level"],
        post_nms_topk_test=sizes["proposals"]["count"],
        nms_thresh_test=sizes["proposals"]["overlap_max"],
        centernet_head=head,
    )
    tokenizer = transformers.BertTokenizer(vocabulary_path, do_lower_case=True)
    grit_roi_heads.BertTokenizer.from_pretrained = staticmethod(lambda *_, **__: tokenizer)
    scales = [1 / stride for stride in strides[:3]]
    heads = grit_roi_heads.GRiTROIHeadsAndTextDecoder(
        text_decoder_transformer=TransformerDecoderTextualHead(
            object_feature_size=channels,
            vocab_size=text["words"],
            hidden_size=text["width"],
            num_layers=text["layers"],
            attention_heads=text["heads"],
            feedforward_size=text["hidden"],
            max_caption_length=text["places"],
            decoder_type="bert_en",
            use_act_checkpoint=False,
        ),
        train_task=["ObjectDet", "DenseCap"],
        test_task="DenseCap",
        mult_proposal_score=True,
        object_feat_pooler=pieces.ROIPooler(text["side"], scales),
        box_in_features=["p3", "p4", "p5"],
        box_pooler=pieces.ROIPooler(boxes["side"], scales),
        box_heads=[pieces.FastRCNNConvFCHead(channels, boxes["side"], boxes["width"]) for _ in REGRESSION],
        box_predictors=[
            GRiTFastRCNNOutputLayers(
                pieces.ShapeSpec(channels=boxes["width"]),
                box2box_transform=pieces.Box2BoxTransform(weights),
                num_classes=1,
                score_min=boxes["score_min"] or 0.0,
                overlap_max=boxes["overlap_max"],
                count_max=boxes["count"],
            )
            for weights in REGRESSION
        ],
        num_classes=1,
    )
    model = GRiT(
        backbone=backbone,
        proposal_generator=generator,
        roi_heads=heads,
        pixel_mean=[123.675, 116.280, 103.530],
        pixel_std=[58.395, 57.12, 57.375],
    )
    draw(model, torch.Generator().manual_seed(sizes["seed"]))
    return model.eval()


def picture(size, generator):
    """Noise on coarse blots of colour."""
    coarse = torch.rand(1, 3, 5, 4, generator=generator)
    blots = nn.functional.interpolate(coarse, size=size, mode="bilinear")[0]
    noise = torch.rand(3, *size, generator=generator)
    return (255 * (0.6 * blots + 0.4 * noise)).floor()


def last(x):
    return x.permute(0, 2, 3, 1).contiguous()


def trace(model, whole):
    """Hooks that note activations by name, in the order of computation; `whole` also notes what is large."""
    noted = {}

    def note(name, value):
        if name not in noted:
            noted[name] = value.detach().clone().contiguous()

    def hook(module, name, pick=lambda out: out):
        module.register_forward_hook(lambda _, __, out: note(name, pick(out)))

    body = model.backbone.bottom_up
    hook(body.patch_embed, "vit.patches")
    for i, block in enumerate(body.blocks):
        hook(block, f"vit.block{i}")

    def levels(_, __, out):
        for name, value in out.items():
            note(f"pyramid.{name}", last(value))

    model.backbone.register_forward_hook(levels)

    def maps(_, __, out):
        for i, (regression, heat) in enumerate(zip(out[1], out[2])):
            note(f"proposals.heat{i}", last(heat))
            note(f"proposals.sides{i}", last(regression))

    model.proposal_generator.centernet_head.register_forward_hook(maps)

    def proposals(_, __, out):
        note("proposals.boxes", out[0][0].proposal_boxes.tensor)
        note("proposals.scores", out[0][0].scores)

    model.proposal_generator.register_forward_hook(proposals)
    heads = model.roi_heads
    for k, predictor in enumerate(heads.box_predictor):
        if k == 0 and whole:
            hook(heads.box_pooler, "boxes.pooled", last)
        hook(predictor, f"boxes.logits{k}", lambda out: out[0])
        hook(predictor, f"boxes.deltas{k}", lambda out: out[1])

    final = heads.fast_rcnn_inference_GRiT

    def detections(*args):
        out = final(*args)
        note("boxes.corners", out[0][0].pred_boxes.tensor)
        note("boxes.scores", out[0][0].scores)
        return out

    heads.fast_rcnn_inference_GRiT = detections
    text = heads.text_decoder.textual
    hook(heads.object_feat_pooler, "text.pooled", last)
    hook(text.object_feature_projection, "text.projected")
    places = heads.object_feat_pooler.output_size**2
    if whole:
        hook(text.transformer.encoder.layer[0], "text.layer0", lambda out: out[0][:, :places])
    for task, decoder in (("captions", heads.text_decoder), ("names", heads.text_decoder_det)):

        def stepped(features, partial, step=decoder.decoding_step, task=task):
            logits = step(features, partial)
            if whole and partial.shape[1] in (1, 2, 9):
                note(f"text.{task}.logits{partial.shape[1]}", logits)
            return logits

        def inferred(features, infer=decoder.infer, task=task):
            out = infer(features)
            note(f"text.{task}.tokens", out["predictions"].float())
            note(f"text.{task}.log_probability", out["logprobs"])
            return out

        decoder.decoding_step, decoder.infer = stepped, inferred
    return noted


def run(model, image):
    given = {"image": image, "height": image.shape[1], "width": image.shape[2]}
    return model([given])[0]["instances"]


def published(state):
    """As the training code wrote it: one text decoder."""
    return {key: value for key, value in state.items() if "text_decoder_det" not in key}


def write(path, sizes, model, image, noted, found):
    tensors = exporting.weights({key: value.half() for key, value in published(model.state_dict()).items()})
    tensors["input.image"] = image.permute(1, 2, 0).half()
    tensors |= noted
    tensors["detections.corners"] = found.pred_boxes.tensor
    versions = {"python": platform.python_version()} | exporting.versions("torch", "vbench", "torchvision", "transformers")
    metadata = {
        "seed": str(sizes["seed"]),
        "versions": json.dumps(versions),
        "score_min": repr(sizes["boxes"]["score_min"]),
        "names": "\n".join(found.det_obj.data),
        "captions": "\n".join(found.pred_object_descriptions.data),
        "order": "\n".join(noted),
    }
    exporting.write(path, tensors, metadata)
    print(f"{len(found)} detections")


def begun(sizes, folder):
    """The network, whose tokenizer reads a vocabulary in the folder, and what it sees."""
    path = folder / "vocabulary.txt"
    path.write_text("\n".join(vocabulary(sizes["text"]["words"])) + "\n")
    return build(sizes, str(path)), picture(sizes["image"], torch.Generator().manual_seed(sizes["seed"]))


def tiny(options):
    model, image = begun(TINY, options.folder)
    noted = trace(model, whole=True)
    found = run(model, image)
    exporting.print_scales(noted)
    print(*zip(found.det_obj.data, found.pred_object_descriptions.data), sep="\n")
    write(options.path, TINY, model, image, noted, found)


def full(options):
    model, image = begun(FULL, options.folder)
    heads = model.roi_heads
    # The threshold first: between two scores after the suppression of overlaps.
    seen, final = [], heads.fast_rcnn_inference_GRiT
    heads.fast_rcnn_inference_GRiT = lambda *args: seen.append(final(*args)) or ([pieces.Instances(args[3][0], pred_boxes=[])], None)
    images = model.preprocess_image([{"image": image}])
    features = model.backbone(images.tensor)
    heads._forward_box(features, model.proposal_generator(images, features, None)[0])
    heads.fast_rcnn_inference_GRiT = final
    scores = seen[0][0][0].scores
    FULL["boxes"]["score_min"] = float((scores[FULL_DETECTIONS - 1] + scores[FULL_DETECTIONS]) / 2)
    for predictor in heads.box_predictor:
        predictor.test_score_thresh = FULL["boxes"]["score_min"]
    noted = trace(model, whole=False)
    found = run(model, image)
    write(options.path, FULL, model, image, noted, found)
    proposals = model.proposal_generator(images, features, None)[0]
    height, width = FULL["image"]
    for part, most, work in [
        ("backbone", options.runs, lambda: model.backbone(images.tensor)),
        ("proposals", options.runs, lambda: model.proposal_generator(images, features, None)),
        # Minutes each.
        ("boxes and captions", 1, lambda: heads._forward_box(features, proposals)),
        ("the whole, names and captions", 1, lambda: run(model, image)),
    ]:
        exporting.print_time(f"{height}×{width}, {part}", work, min(options.runs, most))


if __name__ == "__main__":
    options = exporting.begin(__file__, TINY["seed"])
    full(options) if options.full else tiny(options)

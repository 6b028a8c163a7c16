"""The parts of detectron2 that GRiT's inference needs, written from their documented behaviour, so that GRiT's own modules run
without it. `install()` puts them in place of the package; any other name that is imported from it is an empty class. So is all of
boto3, which the text decoder imports for downloads."""

import functools
import importlib.abc
import importlib.machinery
import math
import sys
import types
from collections import namedtuple

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

ShapeSpec = namedtuple("ShapeSpec", ["channels", "height", "width", "stride"], defaults=[None] * 4)


class Registry:
    def register(self, thing=None):
        return (lambda named: named) if thing is None else thing


def configurable(init):
    @functools.wraps(init)
    def wrapped(self, *args, **kwargs):
        init(self, *args, **kwargs)

    return wrapped


def get_norm(norm, channels):
    """`GN8` is group norm with 8 groups; detectron2's `GN` has 32."""
    return nn.GroupNorm(int(norm.removeprefix("GN") or 32), channels)


class Boxes:
    def __init__(self, tensor):
        self.tensor = tensor.to(torch.float32).reshape(-1, 4)

    def area(self):
        x0, y0, x1, y1 = self.tensor.unbind(1)
        return (x1 - x0) * (y1 - y0)

    def clip(self, size):
        height, width = size
        limits = self.tensor.new_tensor([width, height, width, height])
        self.tensor = torch.minimum(self.tensor.clamp(min=0), limits)

    def nonempty(self, threshold=0.0):
        x0, y0, x1, y1 = self.tensor.unbind(1)
        return (x1 - x0 > threshold) & (y1 - y0 > threshold)

    def scale(self, x, y):
        self.tensor = self.tensor * self.tensor.new_tensor([x, y, x, y])

    def __getitem__(self, item):
        picked = self.tensor[item]
        return Boxes(picked.view(1, -1) if isinstance(item, int) else picked)

    def __len__(self):
        return len(self.tensor)

    @staticmethod
    def cat(parts):
        return Boxes(torch.cat([part.tensor for part in parts]))


class Instances:
    def __init__(self, image_size, **fields):
        object.__setattr__(self, "_image_size", image_size)
        object.__setattr__(self, "_fields", fields)

    @property
    def image_size(self):
        return self._image_size

    def __setattr__(self, name, value):
        self.set(name, value)

    def __getattr__(self, name):
        if name.startswith("_") or name not in self._fields:
            raise AttributeError(name)
        return self._fields[name]

    def set(self, name, value):
        assert all(len(value) == len(other) for other in self._fields.values()), name
        self._fields[name] = value

    def get(self, name):
        return self._fields[name]

    def has(self, name):
        return name in self._fields

    def remove(self, name):
        del self._fields[name]

    def get_fields(self):
        return self._fields

    def __getitem__(self, item):
        return Instances(self._image_size, **{name: value[item] for name, value in self._fields.items()})

    def __len__(self):
        return next((len(value) for value in self._fields.values()), 0)

    @staticmethod
    def cat(parts):
        joined = Instances(parts[0].image_size)
        for name, first in parts[0].get_fields().items():
            values = [part.get(name) for part in parts]
            joined.set(name, torch.cat(values) if isinstance(first, torch.Tensor) else type(first).cat(values))
        return joined


class ImageList:
    def __init__(self, tensor, image_sizes):
        self.tensor, self.image_sizes = tensor, image_sizes

    @staticmethod
    def from_tensors(images, multiple):
        sizes = [tuple(image.shape[-2:]) for image in images]
        height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
        height, width = (math.ceil(size / multiple) * multiple for size in (height, width))
        padded = [F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2])) for image in images]
        return ImageList(torch.stack(padded), sizes)


class Box2BoxTransform:
    def __init__(self, weights, scale_clamp=math.log(1000.0 / 16)):
        self.weights, self.scale_clamp = weights, scale_clamp

    def apply_deltas(self, deltas, boxes):
        dx, dy, dw, dh = (deltas[:, i] / weight for i, weight in enumerate(self.weights))
        width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        x, y = boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height
        x, y = dx * width + x, dy * height + y
        width = torch.exp(dw.clamp(max=self.scale_clamp)) * width
        height = torch.exp(dh.clamp(max=self.scale_clamp)) * height
        corners = [x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height]
        return torch.stack(corners, dim=1)


class ROIPooler(nn.Module):
    """ROIAlignV2: aligned, as many samples a bin as it has pixels."""

    def __init__(self, output_size, scales, sampling_ratio=0, pooler_type="ROIAlignV2"):
        super().__init__()
        self.output_size, self.scales = output_size, scales
        self.lowest = round(-math.log2(scales[0]))

    def forward(self, features, boxes):
        boxes = torch.cat([b.tensor for b in boxes])
        size = torch.sqrt(Boxes(boxes).area())
        level = torch.floor(4 + torch.log2(size / 224 + 1e-8))
        level = level.clamp(self.lowest, self.lowest + len(self.scales) - 1).long() - self.lowest
        side = self.output_size
        out = boxes.new_zeros(len(boxes), features[0].shape[1], side, side)
        for i, (feature, scale) in enumerate(zip(features, self.scales)):
            index = torch.nonzero(level == i).squeeze(1)
            rois = torch.cat([torch.zeros(len(index), 1), boxes[index]], dim=1)
            out[index] = torchvision.ops.roi_align(feature, rois, side, scale, 0, aligned=True)
        return out


class FastRCNNConvFCHead(nn.Module):
    def __init__(self, channels, side, width):
        super().__init__()
        self.fc1 = nn.Linear(channels * side * side, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, x):
        return F.relu(self.fc2(F.relu(self.fc1(torch.flatten(x, 1)))))


class FastRCNNOutputLayers(nn.Module):
    def __init__(self, input_shape, *, box2box_transform, num_classes, score_min, overlap_max, count_max):
        super().__init__()
        self.cls_score = nn.Linear(input_shape.channels, num_classes + 1)
        self.bbox_pred = None
        self.box2box_transform, self.num_classes = box2box_transform, num_classes
        self.test_score_thresh, self.test_nms_thresh = score_min, overlap_max
        self.test_topk_per_image = count_max

    def predict_boxes(self, predictions, proposals):
        boxes = torch.cat([p.proposal_boxes.tensor for p in proposals])
        return self.box2box_transform.apply_deltas(predictions[1], boxes).split([len(p) for p in proposals])


class CascadeROIHeads(nn.Module):
    def __init__(self, *, box_in_features, box_pooler, box_heads, box_predictors, num_classes):
        super().__init__()
        self.box_in_features, self.box_pooler = box_in_features, box_pooler
        self.box_head, self.box_predictor = nn.ModuleList(box_heads), nn.ModuleList(box_predictors)
        self.num_cascade_stages, self.num_classes = len(box_heads), num_classes
        self.mask_on = False

    def forward_with_given_boxes(self, features, instances):
        return instances  # masks, which change nothing else


class ScaleGradient:
    @staticmethod
    def apply(x, scale):
        return x


class GeneralizedRCNN(nn.Module):
    def __init__(self, *, backbone, proposal_generator, roi_heads, pixel_mean, pixel_std):
        super().__init__()
        self.backbone, self.proposal_generator, self.roi_heads = backbone, proposal_generator, roi_heads
        for name, value in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            self.register_buffer(name, torch.tensor(value).view(-1, 1, 1), persistent=False)

    def preprocess_image(self, batched_inputs):
        images = [(x["image"] - self.pixel_mean) / self.pixel_std for x in batched_inputs]
        return ImageList.from_tensors(images, self.backbone.size_divisibility)

    @staticmethod
    def _postprocess(instances, batched_inputs, image_sizes):
        results = []
        for found, given, size in zip(instances, batched_inputs, image_sizes):
            found.pred_boxes.scale(given["width"] / size[1], given["height"] / size[0])
            found.pred_boxes.clip((given["height"], given["width"]))
            results.append({"instances": found[found.pred_boxes.nonempty()]})
        return results


PIECES = {
    "config": {"configurable": configurable, "CfgNode": dict},
    "layers": {
        "ShapeSpec": ShapeSpec,
        "Conv2d": nn.Conv2d,
        "Linear": nn.Linear,
        "CNNBlockBase": nn.Module,
        "get_norm": get_norm,
        "cat": torch.cat,
        "batched_nms": lambda boxes, *rest: torchvision.ops.batched_nms(boxes.float(), *rest),
    },
    "structures": {"Boxes": Boxes, "Instances": Instances, "ImageList": ImageList},
    "modeling.backbone": {"Backbone": nn.Module},
    "modeling.backbone.backbone": {"Backbone": nn.Module},
    "modeling.box_regression": {"Box2BoxTransform": Box2BoxTransform},
    "modeling.poolers": {"ROIPooler": ROIPooler},
    "modeling.roi_heads.cascade_rcnn": {"CascadeROIHeads": CascadeROIHeads, "_ScaleGradient": ScaleGradient},
    "modeling.roi_heads.fast_rcnn": {"FastRCNNOutputLayers": FastRCNNOutputLayers},
    "modeling.meta_arch.rcnn": {"GeneralizedRCNN": GeneralizedRCNN},
}


class Piece(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Registry() if name.endswith("REGISTRY") else type(name, (), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("detectron2", "boto3", "botocore"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Piece(spec.name)

    def exec_module(self, module):
        module.__dict__.update(PIECES.get(module.__name__.partition(".")[2], {}))


def hollow(name, path):
    """A package whose modules can be imported without running its `__init__`."""
    package = types.ModuleType(name)
    package.__path__ = [str(path)]
    sys.modules[name] = package


def install(vbench):
    """Makes `vbench` (the folder of the package), detectron2 and CenterNet2 importable in pieces."""
    sys.meta_path.insert(0, Finder())
    source = vbench / "third_party/grit_src"
    hollow("vbench", vbench)
    hollow("vbench.third_party", vbench / "third_party")
    hollow("vbench.third_party.grit_src", source)
    for part in ["", ".data", ".modeling", ".modeling.backbone", ".modeling.roi_heads", ".modeling.text", ".modeling.meta_arch"]:
        hollow(f"vbench.third_party.grit_src.grit{part}", source / "grit" / part[1:].replace(".", "/"))
    for part in ["", ".modeling", ".modeling.backbone", ".modeling.dense_heads", ".modeling.layers"]:
        hollow(f"centernet{part}", source / "centernet2/centernet" / part[1:].replace(".", "/"))

"""VBench-Long's own functions, without the packages that it imports and they do not use."""

import sys
import types

import torchvision.io

UNUSED = {
    "scenedetect": ["open_video", "SceneManager", "split_video_ffmpeg"],
    "scenedetect.detectors": ["ContentDetector"],
    "scenedetect.video_splitter": ["split_video_ffmpeg"],
    "moviepy": [],
    "moviepy.editor": ["VideoFileClip"],
    "dreamsim": ["dreamsim"],
}


def utils(write_video=None):
    """The module `vbench2_beta_long.utils`. torchvision's `write_video`, which is gone from it, is what is given."""
    for name, attributes in UNUSED.items():
        module = types.ModuleType(name)
        for attribute in attributes:
            setattr(module, attribute, None)
        sys.modules[name] = module
    torchvision.io.write_video = write_video
    from vbench2_beta_long import utils

    return utils

"""Top-1 accuracy on ImageNet that the authors publish for a family's widths and input sizes, float32, in per cent.

source  github.com/tensorflow/models, research/slim/nets/mobilenet_v1.md and mobilenet/README.md (the checkpoints of
        Howard et al. 2017, Sandler et al. 2018 and Howard et al. 2019), one crop of each ILSVRC-2012 validation image
"""

from __future__ import annotations

SOURCE = "tensorflow/models, research/slim/nets: ImageNet top-1 of the authors' float32 checkpoints, 1000 classes"
_SIZES_V1, _SIZES_V2 = (224, 192, 160, 128), (224, 192, 160, 128, 96)
# By family and width: by input size.
_TABLES: dict[str, dict[float, dict[int, float]]] = {
    "v1": {
        1.0: dict(zip(_SIZES_V1, (70.9, 70.0, 68.0, 65.2), strict=True)),
        0.75: dict(zip(_SIZES_V1, (68.4, 67.2, 65.3, 62.1), strict=True)),
        0.5: dict(zip(_SIZES_V1, (63.3, 61.7, 59.1, 56.3), strict=True)),
        0.25: dict(zip(_SIZES_V1, (49.8, 47.7, 45.5, 41.5), strict=True)),
    },
    "v2": {
        1.4: {224: 75.0},
        1.3: {224: 74.4},
        1.0: dict(zip(_SIZES_V2, (71.8, 70.7, 68.8, 65.3, 60.3), strict=True)),
        0.75: dict(zip(_SIZES_V2, (69.8, 68.7, 66.4, 63.2, 58.8), strict=True)),
        0.5: dict(zip(_SIZES_V2, (65.4, 63.9, 61.0, 57.7, 51.2), strict=True)),
        0.35: dict(zip(_SIZES_V2, (60.3, 58.2, 55.7, 50.8, 45.5), strict=True)),
    },
    "v3-small": {1.0: {224: 67.5}, 0.75: {224: 65.4}},
    "v3-large": {1.0: {224: 75.2}, 0.75: {224: 73.3}},
}


def published_accuracy(family: str, width: float, size: int) -> float | None:
    """None where nobody publishes one."""
    return _TABLES.get(family, {}).get(width, {}).get(size)

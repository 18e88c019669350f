"""Trains the segmenter of `mbn2c demo --task segmentation`: drawn shapes -> model, images, masks.

Run `python -m mbn2c.commands.demo.shapes.train_shapes` where `train_digits` runs; it takes some minutes and rewrites
the files beside this module. Nothing is downloaded: an image has 64x64 gray pixels, a soft background with noise, and
one to three discs, squares and triangles, each turned, brighter or darker than what lies behind it; the last one lies
on top.

The network is a decoder on a MobileNetV2 of few channels: maps at strides 16, 8 and 4 of 24 channels each, the coarser
one enlarged and added to the finer one; then the values of four classes at stride 4, enlarged linearly.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from mbn2c.commands.demo import SHAPES
from mbn2c.commands.demo.train_digits import SEED, InvertedResidual, conv_bn_relu6

SIDE = 64
CLASS_NAMES = ("background", "disc", "square", "triangle")
CALIBRATION_COUNT, TEST_COUNT = 24, 24
STEPS, BATCH = 1500, 16
CHANNELS = 24


class ShapesMobileNetV2(nn.Module):
    """[N, 1, 64, 64] in [-1, 1] -> values of the classes [N, 4, 64, 64]."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            conv_bn_relu6(1, 16, kernel=3, stride=2), InvertedResidual(16, 24, 2, 2), InvertedResidual(24, 24, 1, 4)
        )
        self.middle = nn.Sequential(InvertedResidual(24, 32, 2, 4), InvertedResidual(32, 32, 1, 4))
        self.coarse = nn.Sequential(InvertedResidual(32, 48, 2, 4), InvertedResidual(48, 48, 1, 4))
        self.sides = nn.ModuleList([nn.Conv2d(channels, CHANNELS, 1) for channels in (48, 32, 24)])
        self.head = nn.Sequential(
            conv_bn_relu6(CHANNELS, CHANNELS, kernel=3, groups=CHANNELS), nn.Conv2d(CHANNELS, len(CLASS_NAMES), 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The classes' values at every pixel."""
        fine = self.fine(x)
        middle = self.middle(fine)
        found = self.sides[0](self.coarse(middle))
        for side, finer in zip(self.sides[1:], (middle, fine), strict=True):
            found = functional.interpolate(found, scale_factor=2.0, mode="nearest") + side(finer)
        return functional.interpolate(self.head(found), scale_factor=4.0, mode="bilinear", align_corners=False)


# --- images --------------------------------------------------------------------------------------


def drawn(random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Gray pixels and the class of each."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    slope = random.uniform(-1, 1, 2)
    pixels = random.uniform(70, 170) + 30 * (slope[0] * x + slope[1] * y) / SIDE
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(int(random.integers(1, 4))):
        kind, radius, angle = int(random.integers(1, 4)), random.uniform(8, 16), random.uniform(0, 2 * np.pi)
        right, down = (axis - random.uniform(radius, SIDE - radius) for axis in (x, y))
        inside = _inside(CLASS_NAMES[kind], right / radius, down / radius, angle)
        pixels[inside] += random.choice([-1, 1]) * random.uniform(35, 75)
        mask[inside] = kind
    noise = random.normal(0, 4, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8), mask


def _inside(name: str, x: NDArray[np.float64], y: NDArray[np.float64], angle: float) -> NDArray[np.bool_]:
    """Whether places lie in a shape that a circle of radius 1 surrounds, turned by an angle."""
    if name == "disc":
        return np.asarray(x**2 + y**2 < 0.8)
    corners = 4 if name == "square" else 3
    turns = angle + 2 * np.pi * np.arange(corners) / corners
    # The inside of a regular polygon is within its inner radius along each edge's normal.
    return np.all([np.cos(turn) * x + np.sin(turn) * y < np.cos(np.pi / corners) for turn in turns], axis=0)


def preprocess(images: list[NDArray[np.uint8]]) -> Tensor:
    """uint8 [H, W] each -> float32 [N, 1, H, W] in [-1, 1]: what `--preprocess pm1` does."""
    return torch.from_numpy(np.stack(images).astype(np.float32) / 127.5 - 1.0).unsqueeze(1)


# --- training ------------------------------------------------------------------------------------


def train() -> ShapesMobileNetV2:
    """Train for STEPS steps with AdamW and a one-cycle schedule; return the model in evaluation mode."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    random, model = np.random.default_rng(SEED), ShapesMobileNetV2()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=STEPS)
    for step in range(STEPS):
        images, masks = zip(*(drawn(random) for _ in range(BATCH)), strict=True)
        wanted = torch.from_numpy(np.stack(masks).astype(np.int64))
        loss = functional.cross_entropy(model(preprocess(list(images))), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1:5}/{STEPS}  loss {loss.item():.4f}", flush=True)
    return model.eval()


def export(model: ShapesMobileNetV2) -> None:
    """Write the model as ONNX with its batch norms as nodes of their own, as `train_digits` does."""
    torch.onnx.export(
        model,
        (torch.zeros(1, 1, SIDE, SIDE),),
        SHAPES.model,
        input_names=["image"],
        output_names=["classes"],
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )


def write_images() -> None:
    """Images to calibrate with, and others to test with and their masks."""
    random = np.random.default_rng(SEED + 1)
    SHAPES.labels.mkdir(exist_ok=True)
    SHAPES.classes.write_text("".join(f"{name}\n" for name in CLASS_NAMES), encoding="utf-8")
    for folder, count in ((SHAPES.calibration, CALIBRATION_COUNT), (SHAPES.images, TEST_COUNT)):
        folder.mkdir(exist_ok=True)
        for number in range(count):
            pixels, mask = drawn(random)
            Image.fromarray(pixels).save(folder / f"shapes_{number:02}.png", optimize=True)
            if folder == SHAPES.images:
                Image.fromarray(mask).save(SHAPES.labels / f"shapes_{number:02}.png", optimize=True)


def main() -> None:
    """Train, export, draw images and their masks."""
    export(train())
    write_images()


if __name__ == "__main__":
    main()

"""Trains the detector of `mbn2c demo --task detection`: scikit-learn's digits on canvases -> model, images, boxes.

Run `python -m mbn2c.commands.demo.boxes.train_boxes` where `train_digits` runs; it takes about ten minutes and rewrites
the files beside this module. The data set, its split by position and its licence are those of `train_digits`; each
canvas has 96x96 gray pixels, a soft background with noise, and one to four digits of 14 to 48 pixels that do not meet.
Test canvases have digits of the test split only, mostly of hands never seen in training.

The network is a MobileNetV2 of few channels with heads in the way of SSDLite at strides 8 and 16, one square anchor at
each of their pixels. Outputs are as ST's SSD has them: scores after a sigmoid [1, 180, 10], how far each corner moves
in parts of the anchor's width and height [1, 180, 4], and the anchors [1, 180, 4].
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from mbn2c.commands.demo import BOXES
from mbn2c.commands.demo.train_digits import CLASS_NAMES, SEED, TRAIN_COUNT, InvertedResidual, conv_bn_relu6

SIDE = 96
CALIBRATION_COUNT, TEST_COUNT = 24, 40
STEPS, BATCH = 2000, 16
# Rows of a level, and the side of its anchor in parts of the canvas.
LEVELS = ((12, 0.22), (6, 0.40))
# An anchor that overlaps a digit by this much shall find it; by less than the other, it shall not.
IS_DIGIT, IS_NONE = 0.45, 0.35

Boxes = list[tuple[int, float, float, float, float]]


class BoxesMobileNetV2(nn.Module):
    """[N, 1, 96, 96] in [-1, 1] -> logits [N, 180, 10], offsets [N, 180, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            conv_bn_relu6(1, 16, kernel=3, stride=2),
            InvertedResidual(16, 16, 2, 1),
            InvertedResidual(16, 16, 1, 4),
            InvertedResidual(16, 24, 2, 4),
            InvertedResidual(24, 24, 1, 4),
            InvertedResidual(24, 24, 1, 4),
        )
        self.coarse = nn.Sequential(InvertedResidual(24, 32, 2, 4), InvertedResidual(32, 32, 1, 4))
        self.scores = nn.ModuleList([_head(24, len(CLASS_NAMES)), _head(32, len(CLASS_NAMES))])
        self.offsets = nn.ModuleList([_head(24, 4), _head(32, 4)])
        for head in self.scores:
            nn.init.constant_(head[1].bias, -4.0)  # few anchors are digits

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and offsets of all levels."""
        fine = self.fine(x)
        levels = (fine, self.coarse(fine))
        scores, offsets = (
            torch.cat(
                [
                    head(level).permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)
                    for head, level in zip(heads, levels, strict=True)
                ],
                dim=1,
            )
            for heads, values in ((self.scores, len(CLASS_NAMES)), (self.offsets, 4))
        )
        return scores, offsets


class Exported(nn.Module):
    """What the file has: scores after the sigmoid, offsets, anchors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("anchors", anchors()[None])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As the file's outputs."""
        scores, offsets = self.model(x)
        return torch.sigmoid(scores), offsets, self.anchors


def _head(channels: int, values: int) -> nn.Sequential:
    return nn.Sequential(
        conv_bn_relu6(channels, channels, kernel=3, groups=channels), nn.Conv2d(channels, values, kernel_size=1)
    )


def anchors() -> Tensor:
    """[180, 4]: x0, y0, x1, y1 in parts of the canvas."""
    found = []
    for side, size in LEVELS:
        at = (torch.arange(side) + 0.5) / side
        y, x = torch.meshgrid(at, at, indexing="ij")
        centres = torch.stack([x, y], dim=-1).reshape(-1, 2)
        found.append(torch.cat([centres - size / 2, centres + size / 2], dim=1))
    return torch.cat(found)


# --- canvases ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Digits:
    """8x8 values 0..16 and their classes."""

    images: NDArray[np.float64]
    labels: NDArray[np.int64]


def canvas(digits: Digits, random: np.random.Generator) -> tuple[NDArray[np.uint8], Boxes]:
    """Gray pixels, and of each digit its class and corners in pixels, tight around its ink."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    slope = random.uniform(-1, 1, 2)
    pixels = random.uniform(20, 70) + 25 * (slope[0] * x + slope[1] * y)
    boxes: Boxes = []
    for _ in range(int(random.integers(1, 5))):
        number, size = int(random.integers(len(digits.images))), int(random.integers(18, 60))
        small = Image.fromarray(np.rint(digits.images[number] * (255 / 16)).astype(np.uint8))
        ink = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC)).astype(np.float64) / 255
        rows, columns = (np.flatnonzero((ink > 0.3).any(axis=axis)) for axis in (1, 0))
        ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        height, width = ink.shape
        top, left = (int(random.integers(0, SIDE - extent + 1)) for extent in (height, width))
        box = (int(digits.labels[number]), float(left), float(top), float(left + width), float(top + height))
        if any(box[1] < o[3] + 2 and o[1] < box[3] + 2 and box[2] < o[4] + 2 and o[2] < box[4] + 2 for o in boxes):
            continue
        place = pixels[top : top + height, left : left + width]
        place += (random.uniform(170, 250) - place) * ink
        boxes.append(box)
    noise = random.normal(0, 3, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8), boxes


def preprocess(images: list[NDArray[np.uint8]]) -> Tensor:
    """uint8 [H, W] each -> float32 [N, 1, H, W] in [-1, 1]: what `--preprocess pm1` does."""
    return torch.from_numpy(np.stack(images).astype(np.float32) / 127.5 - 1.0).unsqueeze(1)


# --- training ------------------------------------------------------------------------------------


def targets(boxes: Boxes, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each anchor: its class, -1 for none, -2 for either; its offsets; and whether it has some."""
    if not boxes:
        none = torch.full((len(places),), -1)
        return none, torch.zeros(len(places), 4), none >= 0
    corners = torch.tensor([box[1:] for box in boxes]) / SIDE
    ends = torch.minimum(places[:, None, 2:], corners[None, :, 2:])
    shared = (ends - torch.maximum(places[:, None, :2], corners[None, :, :2])).clamp(min=0).prod(dim=2)
    areas = [(one[:, 2:] - one[:, :2]).prod(dim=1) for one in (places, corners)]
    overlap = shared / (areas[0][:, None] + areas[1][None] - shared)
    overlap[overlap.max(dim=0).indices, torch.arange(len(boxes))] = 1.0  # each digit has an anchor
    best, which = overlap.max(dim=1)
    classes = torch.tensor([box[0] for box in boxes])[which]
    classes = torch.where(best >= IS_DIGIT, classes, torch.where(best < IS_NONE, -1, -2))
    sizes = (places[:, 2:] - places[:, :2]).repeat(1, 2)
    return classes, (corners[which] - places) / sizes, classes >= 0


def loss_of(scores: Tensor, offsets: Tensor, wanted: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Focal loss of the classes (Lin et al., 2017) and smooth L1 of the offsets, for each digit's anchor."""
    classes, moves, are_digits = (torch.stack(parts) for parts in zip(*wanted, strict=True))
    truth = functional.one_hot(classes.clamp(min=0), len(CLASS_NAMES)).float() * are_digits[..., None]
    plain = functional.binary_cross_entropy_with_logits(scores, truth, reduction="none")
    share = torch.sigmoid(scores)
    right = share * truth + (1 - share) * (1 - truth)
    focal = ((1 - right) ** 2 * plain)[classes > -2].sum()
    placed = functional.smooth_l1_loss(offsets[are_digits], moves[are_digits], reduction="none", beta=0.05).sum()
    return (focal + placed) / are_digits.sum().clamp(min=1)


def train(digits: Digits) -> BoxesMobileNetV2:
    """Train for STEPS steps with AdamW and a one-cycle schedule; return the model in evaluation mode."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    random, places, model = np.random.default_rng(SEED), anchors(), BoxesMobileNetV2()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=STEPS)
    for step in range(STEPS):
        images, boxes = zip(*(canvas(digits, random) for _ in range(BATCH)), strict=True)
        scores, offsets = model(preprocess(list(images)))
        loss = loss_of(scores, offsets, [targets(one, places) for one in boxes])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1:5}/{STEPS}  loss {loss.item():.4f}", flush=True)
    return model.eval()


def export(model: BoxesMobileNetV2) -> None:
    """Write the model as ONNX with its batch norms as nodes of their own, as `train_digits` does."""
    torch.onnx.export(
        Exported(model).eval(),
        (torch.zeros(1, 1, SIDE, SIDE),),
        BOXES.model,
        input_names=["image"],
        output_names=["scores", "offsets", "anchors"],
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )


def write_canvases(seen: Digits, unseen: Digits) -> None:
    """Images to calibrate with, of digits that trained, and images to test with and their boxes, of others."""
    random = np.random.default_rng(SEED + 1)
    for folder, digits, count in ((BOXES.calibration, seen, CALIBRATION_COUNT), (BOXES.images, unseen, TEST_COUNT)):
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        rows = []
        for number in range(count):
            pixels, boxes = canvas(digits, random)
            name = f"canvas_{number:02}.png"
            Image.fromarray(pixels).save(folder / name, optimize=True)
            rows += [(name, CLASS_NAMES[box[0]], *(f"{corner:.0f}" for corner in box[1:])) for box in boxes]
    with BOXES.labels.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "class", "x1", "y1", "x2", "y2"))
        writer.writerows(rows)


def main() -> None:
    """Train, export, write canvases and their boxes."""
    data = load_digits()
    seen, unseen = (
        Digits(data.images[part], data.target[part].astype(np.int64))
        for part in (slice(TRAIN_COUNT), slice(TRAIN_COUNT, None))
    )
    export(train(seen))
    write_canvases(seen, unseen)


if __name__ == "__main__":
    main()

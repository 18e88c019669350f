"""Trains the demo model: scikit-learn's 8x8 digits -> `digits_mobilenet_v2.onnx`, calibration and test images, labels.

Run `python -m mbn2c.commands.demo.train_digits` in an environment with `torch==2.13.0` (the CPU build does),
`scikit-learn`, `onnx`, `numpy` and `pillow`; mbn2c itself needs neither torch nor scikit-learn. It rewrites the files
beside this module in about four minutes. One thread and a fixed seed make it repeatable on one machine; another CPU may
round differently.

The data set is `sklearn.datasets.load_digits`, the 1,797 images of the test half of "Optical Recognition of Handwritten
Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0). Its images are apparently grouped by
writer, so the split is by position: the first 1,437 train, the last 360 test, mostly hands never seen in training. That
is harder than a shuffled split. Nothing is chosen by looking at the test images: the number of epochs is fixed
beforehand and the last weights are taken.

The network is a MobileNetV2 (Sandler et al., 2018) with the channels of width 0.35, its first four stages, and strides
for a 32x32 image: ReLU6, inverted residuals with shortcuts, batch norms left unfolded in the file. Input
`[1, 1, 32, 32]`, gray, scaled to [-1, 1] (`--preprocess pm1`); output: ten logits.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from mbn2c.commands.demo import CALIBRATION_FOLDER, CLASS_NAMES_FILE, MODEL_FILE, TEST_FOLDER, TEST_LABELS

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
IMAGE_SIZE = 32
DIGIT_SIZE = 24
TRAIN_COUNT = 1437
CALIBRATION_COUNT = 100
SEED = 20
EPOCHS = 90
BATCH_SIZE = 64

STEM_CHANNELS = 16
LAST_CHANNELS = 128
# expansion, output channels, number of blocks, stride of the first block
STAGES = ((1, 8, 1, 1), (6, 8, 2, 1), (6, 16, 3, 2), (6, 24, 3, 2))


class InvertedResidual(nn.Module):
    """expand 1x1 -> depthwise 3x3 -> project 1x1, with a shortcut when stride is 1 and the channels are equal."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(conv_bn_relu6(channels_in, hidden, kernel=1))
        layers += [
            conv_bn_relu6(hidden, hidden, kernel=3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        ]
        self.conv = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels_in, H, W] to [N, channels_out, H / stride, W / stride]."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class DigitsMobileNetV2(nn.Module):
    """[N, 1, 32, 32] in [-1, 1] -> [N, 10] logits."""

    def __init__(self) -> None:
        super().__init__()
        features: list[nn.Module] = [conv_bn_relu6(1, STEM_CHANNELS, kernel=3, stride=2)]
        channels = STEM_CHANNELS
        for expansion, channels_out, blocks, first_stride in STAGES:
            for block in range(blocks):
                features.append(InvertedResidual(channels, channels_out, first_stride if block == 0 else 1, expansion))
                channels = channels_out
        features.append(conv_bn_relu6(channels, LAST_CHANNELS, kernel=1))
        self.features = nn.Sequential(*features)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(LAST_CHANNELS, len(CLASS_NAMES))

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, 1, 32, 32] to logits [N, 10]."""
        return self.classifier(self.dropout(torch.flatten(self.pool(self.features(x)), 1)))


def conv_bn_relu6(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, its batch norm, and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU6(),
    )


def enlarge(digit: NDArray[np.float64]) -> NDArray[np.uint8]:
    """An 8x8 digit with values 0..16 as a 32x32 uint8 image: bicubic to 24x24, in a black border of 4."""
    small = Image.fromarray(np.rint(digit * (255 / 16)).astype(np.uint8))
    image = Image.new("L", (IMAGE_SIZE, IMAGE_SIZE))
    border = (IMAGE_SIZE - DIGIT_SIZE) // 2
    image.paste(small.resize((DIGIT_SIZE, DIGIT_SIZE), Image.Resampling.BICUBIC), (border, border))
    return np.asarray(image)


def preprocess(images: NDArray[np.uint8]) -> Tensor:
    """uint8 [N, 32, 32] -> float32 [N, 1, 32, 32] in [-1, 1]: what `--preprocess pm1` does."""
    return torch.from_numpy(images.astype(np.float32) / 127.5 - 1.0).unsqueeze(1)


def augment(batch: Tensor) -> Tensor:
    """Shift up to 3 pixels, scale up to 15 %, rotate up to 12 degrees, shear, vary the brightness, add noise."""
    count = batch.shape[0]

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count) * 2 - 1) * limit

    angle, shear = uniform(np.deg2rad(12.0)), uniform(0.2)
    scale_x, scale_y = 1 + uniform(0.15), 1 + uniform(0.15)
    shift_limit = 3 * 2 / IMAGE_SIZE
    cos, sin = torch.cos(angle), torch.sin(angle)
    matrix = torch.stack(
        [
            torch.stack([cos * scale_x, (shear * cos - sin) * scale_y, uniform(shift_limit)], dim=1),
            torch.stack([sin * scale_x, (shear * sin + cos) * scale_y, uniform(shift_limit)], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, list(batch.shape), align_corners=False)
    # Around the image lies black, which is -1 after preprocessing and 0 to grid_sample.
    moved = functional.grid_sample(batch + 1, grid, padding_mode="zeros", align_corners=False)
    brightness = (1 + uniform(0.2)).reshape(-1, 1, 1, 1)
    noise = torch.randn(moved.shape) * 0.05
    return (moved * brightness + noise).clamp(0, 2) - 1


def train(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> DigitsMobileNetV2:
    """Train for EPOCHS epochs with AdamW and a cosine schedule; return the model in evaluation mode."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    model = DigitsMobileNetV2()
    inputs, targets = preprocess(images), torch.from_numpy(labels)
    batches = len(images) // BATCH_SIZE
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=EPOCHS * batches)
    for epoch in range(EPOCHS):
        model.train()
        order = torch.randperm(len(images))
        total_loss = 0.0
        for chosen in order[: batches * BATCH_SIZE].split(BATCH_SIZE):
            loss = functional.cross_entropy(model(augment(inputs[chosen])), targets[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total_loss += loss.item()
        print(f"epoch {epoch + 1:3}/{EPOCHS}  loss {total_loss / batches:.4f}", flush=True)
    return model.eval()


def export(model: DigitsMobileNetV2) -> None:
    """Write the model as ONNX with its batch norms as nodes of their own."""
    torch.onnx.export(
        model,
        (torch.zeros(1, 1, IMAGE_SIZE, IMAGE_SIZE),),
        MODEL_FILE,
        input_names=["image"],
        output_names=["logits"],
        opset_version=17,
        # PRESERVE keeps the batch norms unfolded; in evaluation mode the exported graph is still the inference graph.
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )


def write_images(folder: Path, images: NDArray[np.uint8], positions: range | list[int]) -> list[str]:
    """Write the images at these positions as digit_<position>.png in an emptied folder; return the file names."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    names = [f"digit_{position:04}.png" for position in positions]
    for name, position in zip(names, positions, strict=True):
        Image.fromarray(images[position]).save(folder / name, optimize=True)
    return names


def main() -> None:
    """Train, export, write the images, and print the accuracies."""
    digits = load_digits()
    images, labels = np.stack([enlarge(digit) for digit in digits.images]), digits.target.astype(np.int64)
    model = train(images[:TRAIN_COUNT], labels[:TRAIN_COUNT])
    with torch.no_grad():
        predicted = model(preprocess(images)).argmax(dim=1).numpy()
    correct = predicted == labels
    print(f"train accuracy {correct[:TRAIN_COUNT].mean():.4f} of {TRAIN_COUNT}")
    print(f"test accuracy  {correct[TRAIN_COUNT:].mean():.4f} of {len(images) - TRAIN_COUNT}")
    export(model)
    spread = [k * TRAIN_COUNT // CALIBRATION_COUNT for k in range(CALIBRATION_COUNT)]
    write_images(CALIBRATION_FOLDER, images, spread)
    names = write_images(TEST_FOLDER, images, range(TRAIN_COUNT, len(images)))
    with TEST_LABELS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "index", "label"))
        writer.writerows(
            (name, index, CLASS_NAMES[index]) for name, index in zip(names, labels[TRAIN_COUNT:], strict=True)
        )
    CLASS_NAMES_FILE.write_text("".join(f"{name}\n" for name in CLASS_NAMES), encoding="utf-8")


if __name__ == "__main__":
    main()

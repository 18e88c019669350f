# SPDX-License-Identifier: 0BSD
"""MobileNets as `mbn2c explore` counts them: net = mobilenet("v2", width=0.35, classes=10), for images [N, 3, H, W]."""

import torch
from torch import nn

V1 = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
SMALL = """3 16 16 se re 2, 3 72 24 - re 2, 3 88 24 - re 1, 5 96 40 se hs 2, 5 240 40 se hs 1, 5 240 40 se hs 1,
5 120 48 se hs 1, 5 144 48 se hs 1, 5 288 96 se hs 2, 5 576 96 se hs 1, 5 576 96 se hs 1"""
LARGE = """3 16 16 - re 1, 3 64 24 - re 2, 3 72 24 - re 1, 5 72 40 se re 2, 5 120 40 se re 1, 5 120 40 se re 1,
3 240 80 - hs 2, 3 200 80 - hs 1, 3 184 80 - hs 1, 3 184 80 - hs 1, 3 480 112 se hs 1, 3 672 112 se hs 1,
5 672 160 se hs 2, 5 960 160 se hs 1, 5 960 160 se hs 1"""


def rounded(channels):
    found = max(8, int(channels + 4) // 8 * 8)
    return found + 8 if found < 0.9 * channels else found


def conv(inputs, outputs, kernel=1, stride=1, groups=1, act=nn.ReLU6, pad=None):
    padding = [] if pad is None else [nn.ZeroPad2d(pad)]
    layers = nn.Conv2d(inputs, outputs, kernel, stride, 0 if pad else kernel // 2, groups=groups, bias=False)
    return nn.Sequential(*padding, layers, nn.BatchNorm2d(outputs), *([act()] if act else []))


class Gate(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return x * nn.functional.hardsigmoid(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, inputs, expanded, outputs, kernel, stride, act=nn.ReLU6, gate=False):
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        first = [conv(inputs, expanded, act=act)] if expanded != inputs else []
        squeeze = [Gate(expanded, rounded(expanded // 4))] if gate else []
        depthwise = conv(expanded, expanded, kernel, stride, expanded, act)
        self.layers = nn.Sequential(*first, depthwise, *squeeze, conv(expanded, outputs, act=None))

    def forward(self, x):
        return x + self.layers(x) if self.adds else self.layers(x)


def mobilenet(family, width=1.0, classes=1000):
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if family == "v1":
        c = int(32 * width)
        layers = [conv(3, c, 3, 2, pad=(0, 1, 0, 1))]
        for channels, stride in V1:
            layers.append(conv(c, c, 3, stride, c, pad=(0, 1, 0, 1) if stride == 2 else None))
            layers.append(conv(c, int(channels * width)))
            c = int(channels * width)
        return nn.Sequential(*layers, *head, nn.Linear(c, classes))
    if family == "v2":
        c = rounded(32 * width)
        layers = [conv(3, c, 3, 2)]
        for expand, channels, count, stride in V2:
            for index in range(count):
                layers.append(Block(c, c * expand, rounded(channels * width), 3, stride if index == 0 else 1))
                c = rounded(channels * width)
        last = rounded(1280 * max(width, 1.0))
        return nn.Sequential(*layers, conv(c, last), *head, nn.Linear(last, classes))
    c = rounded(16 * width)
    layers = [conv(3, c, 3, 2, act=nn.Hardswish)]
    for row in (SMALL if family == "v3-small" else LARGE).split(","):
        kernel, expanded, channels, gate, act, stride = row.split()
        act = nn.Hardswish if act == "hs" else nn.ReLU
        outputs, wide = rounded(int(channels) * width), rounded(int(expanded) * width)
        layers.append(Block(c, wide, outputs, int(kernel), int(stride), act, gate == "se"))
        c = outputs
    last = rounded((1024 if family == "v3-small" else 1280) * width)
    head = [*head, nn.Linear(6 * c, last), nn.Hardswish(), nn.Linear(last, classes)]
    return nn.Sequential(*layers, conv(c, 6 * c, act=nn.Hardswish), *head)

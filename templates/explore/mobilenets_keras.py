# SPDX-License-Identifier: 0BSD
"""MobileNets as `mbn2c explore` counts them: net = mobilenet("v2", width=0.35, size=96, classes=10)."""

import keras
from keras import layers as kl

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


def activated(x, act):
    x = kl.BatchNormalization()(x)
    if act == "hs":
        return kl.Multiply()([x, kl.Rescaling(1 / 6)(kl.ReLU(6.0)(kl.Rescaling(1.0, 3.0)(x)))])
    return {"r6": kl.ReLU(6.0), "re": kl.ReLU()}[act](x) if act else x


def conv(x, outputs, kernel=1, stride=1, act="r6"):
    return activated(kl.Conv2D(outputs, kernel, stride, "same", use_bias=False)(x), act)


def depthwise(x, kernel, stride, act="r6", symmetric=True):
    if stride == 2 and symmetric:
        x = kl.ZeroPadding2D(kernel // 2)(x)
    padding = "valid" if stride == 2 and symmetric else "same"
    return activated(kl.DepthwiseConv2D(kernel, stride, padding, use_bias=False)(x), act)


def gate(x, squeezed):
    y = kl.GlobalAveragePooling2D(keepdims=True)(x)
    y = kl.Conv2D(x.shape[-1], 1)(kl.Conv2D(squeezed, 1, activation="relu")(y))
    return kl.Multiply()([x, kl.Rescaling(1 / 6)(kl.ReLU(6.0)(kl.Rescaling(1.0, 3.0)(y)))])


def block(x, expanded, outputs, kernel, stride, act="r6", squeeze=False):
    """An inverted residual."""
    y = conv(x, expanded, act=act) if expanded != x.shape[-1] else x
    y = depthwise(y, kernel, stride, act)
    y = conv(gate(y, rounded(expanded // 4)) if squeeze else y, outputs, act=None)
    return kl.Add()([x, y]) if stride == 1 and outputs == x.shape[-1] else y


def first(x, outputs, act):
    return activated(kl.Conv2D(outputs, 3, 2, "valid", use_bias=False)(kl.ZeroPadding2D(1)(x)), act)


def mobilenet(family, width=1.0, size=224, classes=1000):
    image = x = keras.Input((size, size, 3))
    if family == "v1":
        x = conv(x, int(32 * width), 3, 2)
        for channels, stride in V1:
            x = conv(depthwise(x, 3, stride, symmetric=False), int(channels * width))
        x = kl.GlobalAveragePooling2D()(x)
    elif family == "v2":
        x = first(x, rounded(32 * width), "r6")
        for expand, channels, count, stride in V2:
            for index in range(count):
                x = block(x, x.shape[-1] * expand, rounded(channels * width), 3, stride if index == 0 else 1)
        x = kl.GlobalAveragePooling2D()(conv(x, rounded(1280 * max(width, 1.0))))
    else:
        x = first(x, rounded(16 * width), "hs")
        for row in (SMALL if family == "v3-small" else LARGE).split(","):
            kernel, expanded, channels, squeeze, act, stride = row.split()
            sizes = rounded(int(expanded) * width), rounded(int(channels) * width)
            x = block(x, *sizes, int(kernel), int(stride), act, squeeze == "se")
        x = kl.GlobalAveragePooling2D()(conv(x, 6 * x.shape[-1], act="hs"))
        x = kl.Dense(rounded((1024 if family == "v3-small" else 1280) * width))(x)
        x = kl.Multiply()([x, kl.Rescaling(1 / 6)(kl.ReLU(6.0)(kl.Rescaling(1.0, 3.0)(x)))])
    return keras.Model(image, kl.Dense(classes)(x))

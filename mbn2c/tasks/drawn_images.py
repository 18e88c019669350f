"""Images that nobody took: random pictures with the statistics of natural ones, the same on every run.

Opaque leaves of all sizes that hide each other give edges, flat regions and colours as photographs have them, and
noise whose power falls with the square of its frequency gives their texture.

source  Lee, Mumford & Huang, Occlusion models for natural images (2001): leaves whose radii are distributed as r^-3;
        Baradad et al., Learning to see by looking at noise (2021)
"""

from __future__ import annotations

import numpy as np

# How many leaves an image has, from smooth to busy.
_FEWEST, _MOST = 5, 300
_TEXTURES = 4
# Radii of leaves, in parts of the shorter side.
_SMALLEST, _LARGEST = 1 / 40, 1 / 2.5
# Spread of a colour's channels about its brightness, and the most a texture adds.
_COLOUR, _TEXTURE = 0.12, 0.12


def draw_image(number: int, height: int, width: int, channels: int) -> np.ndarray:
    """Image `number` of a size: uint8 [1, H, W, C]."""
    generator = np.random.default_rng(number)
    textures = [_texture(generator, height, width, generator.uniform(0.6, 1.4)) for _ in range(_TEXTURES)]
    down, right = np.mgrid[0:height, 0:width].astype(np.float32)
    image = _colour(generator, channels) + np.float32(_TEXTURE) * textures[0][..., None]
    count = int(np.exp(generator.uniform(np.log(_FEWEST), np.log(_MOST))))
    for radius in _radii(generator, count, min(height, width)):
        angle, squeezed = generator.uniform(0, np.pi), generator.uniform(0.3, 1)
        y, x = down - generator.uniform(0, height), right - generator.uniform(0, width)
        along = (np.cos(angle) * x + np.sin(angle) * y) / radius
        across = (np.cos(angle) * y - np.sin(angle) * x) / (radius * squeezed)
        is_round = generator.uniform() < 0.6
        leaf = np.hypot(along, across) < 1 if is_round else np.maximum(abs(along), abs(across)) < 1
        light = 1 + generator.uniform(-0.3, 0.3) * along[leaf]
        texture = generator.uniform(0, _TEXTURE) * textures[generator.integers(_TEXTURES)][leaf]
        image[leaf] = light[:, None] * _colour(generator, channels) + texture[:, None]
    return np.asarray(np.rint(255 * np.clip(image, 0, 1)), np.uint8)[None]


def _colour(generator: np.random.Generator, channels: int) -> np.ndarray:
    """Like most colours near gray: float32 [C]."""
    colour = generator.uniform(0.05, 0.95) + _COLOUR * generator.standard_normal(channels)
    return np.clip(colour, 0, 1).astype(np.float32)


def _radii(generator: np.random.Generator, count: int, side: int) -> np.ndarray:
    """In pixels, distributed as r^-3 between the smallest and the largest, in random order."""
    smallest, largest = ((side * part) ** -2.0 for part in (_SMALLEST, _LARGEST))
    return np.asarray((smallest - generator.uniform(size=count) * (smallest - largest)) ** -0.5)


def _texture(generator: np.random.Generator, height: int, width: int, exponent: float) -> np.ndarray:
    """Noise whose amplitude falls with its frequency to the power of `exponent`; float32 [H, W], deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    spectrum = generator.standard_normal(frequency.shape) + 1j * generator.standard_normal(frequency.shape)
    spectrum /= np.maximum(frequency, 1 / max(height, width)) ** exponent
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (height, width))
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)

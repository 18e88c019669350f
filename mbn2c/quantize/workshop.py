"""Recipe and calibration images -> float and int8 Graph, and what a recipe still leaves open: layers of other bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ops import operator_of
from mbn2c.progress import Progress
from mbn2c.quantize.calibrate import Observed, Range, Runner, observe, what_matters
from mbn2c.quantize.centre import centre
from mbn2c.quantize.correct_bias import correct_bias
from mbn2c.quantize.equalize import equalize
from mbn2c.quantize.four_bits import ChooseFourBits, candidates, four_bit_noise
from mbn2c.quantize.images import Images
from mbn2c.quantize.int16 import ChooseInt16
from mbn2c.quantize.per_channel_functions import per_channel_functions
from mbn2c.quantize.quality import activation_noise, activation_shares
from mbn2c.quantize.quantize import quantize
from mbn2c.quantize.ranges import (
    by_entropy,
    by_minmax,
    by_mse,
    by_percentile,
    covering,
    find_ranges,
    output_ranges,
    widen,
)
from mbn2c.quantize.recipe import ChannelScaling, Recipe
from mbn2c.quantize.reconstruct import Fit, reconstruct
from mbn2c.quantize.sensitivity import noise_gains
from mbn2c.quantize.share_multipliers import ChooseSharing

# Values of the largest activation over all images that are kept in memory while layers are fitted (float32 and int8).
_FIT_VALUES = 80_000_000
# So many times as many, mirrored and enlarged ones included, where weights have four bits: a rounding error is as large
# there as what few images leave open of the layer's input.
_VIEWS = 4
# Images that say what noise in each channel costs, and in each activation.
_GAIN_IMAGES, _SHARE_IMAGES = 16, 4
# What images still to come may hold: one of 16 bits.
_INT16_HEADROOM = 2.0


@dataclass(frozen=True)
class Workshop:
    """Makes int8 Graphs by recipe from one set of images; remembers what several recipes share."""

    graph: Graph
    images: Images
    run: Runner
    progress: Progress
    memory: dict[ChannelScaling, tuple[Graph, dict[str, Observed]]]

    def equalized(self, scaling: ChannelScaling) -> tuple[Graph, dict[str, Observed]]:
        """The float Graph with equalized channels, and what its activations hold."""
        if scaling not in self.memory:
            graph = self.graph
            if scaling.margin is not None:
                batch, observed = self.images.batch(_GAIN_IMAGES), self.equalized(ChannelScaling(None))[1]
                if any(operator_of(node).is_function for node in graph.nodes):
                    graph = per_channel_functions(graph, observed, noise_gains(graph, batch))
                graph, observed = centre(graph, observed)
                graph = equalize(graph, observed, noise_gains(graph, batch), scaling.margin, scaling.four_bits)
            activations = [name for name, tensor in graph.tensors.items() if tensor.data is None]
            title = "calibrate" if scaling.margin is None else "calibrate, channels equalized"
            values = self.progress(self.images.values, title, len(self.images.values))
            observed = what_matters(graph, observe(graph, self.run(graph, activations), values))
            self.memory[scaling] = (graph, observed)
        return self.memory[scaling]

    def make(self, recipe: Recipe) -> tuple[Graph, Graph]:
        """(float Graph, int8 Graph)."""
        graph, observed = self.equalized(recipe.scaling)
        int8_graph = self._to_nearest(recipe, graph, observed)
        if recipe.fit is not None:
            limit = _batch_size(graph)
            batch = self.images.views(_VIEWS * limit) if recipe.four_bits else self.images.batch(limit)
            return graph, reconstruct(graph, int8_graph, batch, recipe.fit, self.progress)
        if recipe.bias:
            int8_graph = correct_bias(graph, int8_graph, observed)
        return graph, int8_graph

    def _to_nearest(self, recipe: Recipe, graph: Graph, observed: Mapping[str, Observed]) -> Graph:
        """The int8 Graph of a float Graph that holds this, as a recipe says, its weights to nearest."""
        ranges = widen(graph, find_ranges(observed, _range_method(recipe.ranges)), recipe.headroom)
        wide = widen(graph, find_ranges({name: observed[name] for name in recipe.int16}, by_minmax), _INT16_HEADROOM)
        all_ranges = covering({**ranges, **output_ranges(graph, observed), **wide}, self.images.least)
        return quantize(graph, all_ranges, recipe.int16, recipe.four_bits, recipe.shares_multipliers)

    def choose_sharing(self, sharing: ChooseSharing, recipe: Recipe, int8_graph: Graph) -> bool:
        """Whether `sharing` wants few multipliers for all layers; int8_graph: of the recipe."""
        unfitted = replace(recipe, shares_multipliers=True, bias=False, fit=None)
        return sharing(int8_graph, lambda: self.make(unfitted)[1])

    def choose_four_bits(
        self, four_bits: ChooseFourBits, recipe: Recipe, made: tuple[Graph, Graph]
    ) -> tuple[frozenset[str], Callable[[], Mapping[str, float]]]:
        """The layers that `four_bits` takes, and what says what each that may be taken adds to the noise.

        made  float and int8 Graph of the recipe
        """
        graph, int8_graph = made

        def graph_with(names: frozenset[str]) -> Graph:
            # What it takes does not depend on how its channels are scaled.
            return self._to_nearest(replace(recipe, four_bits=names), *self.equalized(recipe.scaling))

        @cache
        def noise_of() -> Mapping[str, float]:
            total = sum(activation_noise(graph, int8_graph, self.images.batch(_SHARE_IMAGES)).values())
            everywhere = replace(recipe, four_bits=frozenset(candidates(graph)))
            scaled = self.equalized(everywhere.scaling)[0]
            fit, limit = recipe.fit or Fit(), _batch_size(graph)
            return four_bit_noise(scaled, self.images, limit, fit, total, self.run, self.progress)

        start = graph_with(frozenset()) if recipe.shares_multipliers else int8_graph
        return four_bits(start, noise_of, graph_with), noise_of

    def choose_int16(self, int16: ChooseInt16, recipe: Recipe, made: tuple[Graph, Graph]) -> frozenset[str]:
        """The activations that `int16` takes; made: float and int8 Graph of the recipe."""

        def graph_with(names: frozenset[str]) -> Graph:
            # What weights are does not matter to who asks, only what reads and makes int16.
            return self.make(replace(recipe, int16=names, bias=False, fit=None))[1]

        shares = activation_shares(*made, self.images.batch(_SHARE_IMAGES))
        return int16(*made, shares, graph_with)


def _batch_size(graph: Graph) -> int:
    """How many images layers are fitted on."""
    largest = max(int(np.prod(tensor.shape)) for tensor in graph.tensors.values() if tensor.data is None)
    return max(1, _FIT_VALUES // largest)


def _range_method(name: str) -> Callable[[Observed], Range]:
    if name.startswith("percentile "):
        return by_percentile(float(name.split()[1]))
    return {"min-max": by_minmax, "mse": by_mse, "entropy": by_entropy}[name]

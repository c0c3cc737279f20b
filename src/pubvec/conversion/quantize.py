"""The int8 graph of an encoder: which numbers are 8 bits wide, and how their ranges are chosen.

Weights, one scale an output channel, limited so that no two neighbors can overflow a 16-bit sum: processors
without VNNI multiply in pairs, and get the same vectors as those with it. Activations:

- where LayerNorm or attention gives them, fixed ranges, so that a vector does not depend on its batch. Some channels
  are a hundred times as wide as others: their scale is moved into LayerNorm and into the weights beforehand
  (SmoothQuant, Xiao et al. 2022, arXiv 2211.10438), and their middle into biases;
- where Gelu gives them, a range for each token, because the largest come and go with the token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto, helper

from pubvec.conversion.graph import Activation, EncoderGraph
from pubvec.conversion.weights import EncoderWeights, Linear, Norm
from pubvec.encoder import FloatArray, ModelSettings

Int8Array = npt.NDArray[np.int8]

_LEVELS = 255
_PAIR_LIMIT = 127
"""The sum of two neighboring weights is at most this: 255 * (127 + 1 for rounding) is below 2 ** 15."""
_ZERO_AFTER_GELU = 32
"""Level of zero after Gelu, which is never below -0.17: the rest is left to positive values."""
_SMALLEST_GELU = 0.17


class Range(NamedTuple):
    """What each channel of an activation was within. *Shape:* both (dim,)"""

    minimum: FloatArray
    maximum: FloatArray


def measure_ranges(
    weights: EncoderWeights, settings: ModelSettings, token_ids: Iterable[list[int]]
) -> dict[str, Range]:
    """Run texts through the fp32 graph and return the range of every channel at each of its sites."""
    graph = EncoderGraph(weights, settings)
    model = graph.build()
    values = dict.fromkeys(graph.sites.values())
    model.graph.output.extend(helper.make_tensor_value_info(v, TensorProto.FLOAT, None) for v in values)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = [field.name for field in session.get_inputs()]
    ranges: dict[str, Range] = {}
    for ids in token_ids:
        arrays = (np.array([ids]), np.ones((1, len(ids)), np.int64), np.zeros((1, len(ids)), np.int64))
        activations = session.run(list(values), dict(zip(inputs, arrays, strict=False)))
        for value, activation in zip(values, activations, strict=True):
            low, high = activation[0].min(axis=0), activation[0].max(axis=0)
            if value in ranges:
                low, high = np.minimum(low, ranges[value].minimum), np.maximum(high, ranges[value].maximum)
            ranges[value] = Range(low, high)
    return {site: ranges[value] for site, value in graph.sites.items()}


def quantize_weight(weight: FloatArray) -> tuple[Int8Array, FloatArray]:
    """Round weights to 8 bits, one scale an output.

    The largest sum of two neighboring weights of one sign, not the largest weight, takes the last level. That
    costs a quarter of the resolution; the usual way, 7 bits for all, costs half.

    *Shape:* (n_outputs, n_inputs) → the same, and (n_outputs,)
    """
    padded = np.pad(weight, ((0, 0), (0, weight.shape[1] % 2)))
    pairs = padded.reshape(len(weight), -1, 2)
    sums = np.maximum(np.maximum(pairs, 0).sum(axis=2), np.maximum(-pairs, 0).sum(axis=2))
    scale = np.maximum(sums.max(axis=1) / _PAIR_LIMIT, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


class Int8Graph(EncoderGraph):
    """The int8 graph of an encoder.

    Args:
        weights: of the transformer.
        settings: pooling and normalization.
        ranges: from `measure_ranges`.
        smoothing: share of the difference between channels that moves to the weights.
    """

    def __init__(
        self,
        weights: EncoderWeights,
        settings: ModelSettings,
        ranges: Mapping[str, Range],
        *,
        smoothing: float,
    ) -> None:
        super().__init__(weights, settings)
        self._ranges = ranges
        self._smoothing = smoothing

    def embed_words(self) -> str:
        """Look up words that are stored in 8 bits, one scale a word."""
        words = self.weights.words
        scale = np.maximum(np.abs(words).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny)
        table = self.constant("words", np.rint(words / scale).astype(np.int8))
        scales = self.constant("words.scale", scale.astype(np.float32))
        values = self.add("Cast", self.add("Gather", table, "input_ids"), to=TensorProto.FLOAT)
        return self.add("Mul", values, self.add("Gather", scales, "input_ids"))

    def norm(self, x: str, norm: Norm, site: str, readers: tuple[Linear, ...]) -> Activation:
        """LayerNorm, the channels of which come out centered and of similar width."""
        if not readers:
            return super().norm(x, norm, site, readers)
        minimum, maximum = self._ranges[site]
        shift = ((minimum + maximum) / 2).astype(np.float32)
        reach = np.maximum((maximum - minimum) / 2, 1e-5)
        largest = np.abs(np.concatenate([reader.weight for reader in readers])).max(axis=0)
        scale = reach**self._smoothing / np.maximum(largest, 1e-5) ** (1 - self._smoothing)
        scale = (scale / scale.mean()).astype(np.float32)
        smooth = Norm(norm.scale / scale, (norm.bias - shift) / scale)
        return Activation(self._layer_norm(x, smooth, site), scale, shift)

    def project(self, site: str, x: Activation, *linears: Linear) -> list[str]:
        """Quantize `x` within the range of its site, once, and multiply it by each of `linears`."""
        minimum, maximum = self._ranges[site]
        if x.scale is not None and x.shift is not None:
            minimum, maximum = (minimum - x.shift) / x.scale, (maximum - x.shift) / x.scale
            linears = tuple(_fold(linear, x.scale, x.shift) for linear in linears)
        low, high = min(float(minimum.min()), 0.0), max(float(maximum.max()), 0.0)
        step = max(high - low, 1e-5) / _LEVELS
        scale = self.constant(f"{site}.scale", np.float32(step))
        zero = self.constant(f"{site}.zero", np.uint8(round(-low / step)))
        levels = self.add("QuantizeLinear", x.value, scale, zero)
        return [
            self._multiply(
                f"{site}.weight.{i}",
                levels,
                (scale, zero),
                linear.weight,
                self.constant(f"{site}.bias.{i}", linear.bias),
            )
            for i, linear in enumerate(linears)
        ]

    def project_down(self, site: str, x: str, linear: Linear) -> str:
        """Quantize `x` within a range for each token."""
        n_levels = _LEVELS - _ZERO_AFTER_GELU
        least = self.constant("least_reach", np.float32(_SMALLEST_GELU / _ZERO_AFTER_GELU * n_levels))
        reach = self.add("Max", self.add("ReduceMax", x, axes=[-1], keepdims=1), least)
        scale = self.constant("scale_after_gelu", np.float32(1 / n_levels))
        zero = self.constant("zero_after_gelu", np.uint8(_ZERO_AFTER_GELU))
        levels = self.add("QuantizeLinear", self.add("Div", x, reach), scale, zero)
        product = self._multiply(f"{site}.weight.0", levels, (scale, zero), linear.weight)
        return self.add_constant(self.add("Mul", product, reach), f"{site}.bias.0", linear.bias)

    def _multiply(
        self, name: str, levels: str, range_: tuple[str, str], weight: FloatArray, bias: str = ""
    ) -> str:
        scale, zero = range_
        rounded, steps = quantize_weight(weight)
        constants = self.constant(name, rounded.T), scale, self.constant(f"{name}.scale", steps)
        return self.add("MatMulIntegerToFloat", levels, *constants, zero, "", bias)


def _fold(linear: Linear, scale: FloatArray, shift: FloatArray) -> Linear:
    """The product that gives of x what `linear` gives of x * scale + shift."""
    return Linear(linear.weight * scale, linear.bias + linear.weight @ shift)

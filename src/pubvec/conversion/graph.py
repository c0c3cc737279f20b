"""A BERT-like encoder as an ONNX graph, written node by node in the shapes that onnxruntime runs fastest.

On a processor, LayerNormalization after an Add and Gelu without its bias run two to three times as fast
as the operators that fuse them, and MultiHeadAttention without a mask runs as flash attention; so that is
what is written, and a batch without padding takes the branch without the mask.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pubvec.conversion.weights import EncoderWeights, Layer, Linear, Norm
from pubvec.encoder import FloatArray, ModelSettings
from pubvec.version import __version__

OUTPUTS = ("last_hidden_state", "sentence_embedding")
_OPSET = 17
_IR_VERSION = 8
_MICROSOFT = "com.microsoft"
_CONTRIBUTED = {"Gelu", "MatMulIntegerToFloat", "MultiHeadAttention"}
"""onnxruntime's own operators."""


class Activation(NamedTuple):
    """A value of the graph that stands for `value * scale + shift`, channel by channel."""

    value: str
    scale: FloatArray | None = None
    shift: FloatArray | None = None


class EncoderGraph:
    """The fp32 graph of an encoder; `build` makes the model.

    Args:
        weights: of the transformer.
        settings: pooling and normalization.
    """

    def __init__(self, weights: EncoderWeights, settings: ModelSettings) -> None:
        self.weights = weights
        self.settings = settings
        self.sites: dict[str, str] = {}
        """Places where matrix products read activations → the value there."""
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def build(self) -> onnx.ModelProto:
        """Make the model: (input_ids, attention_mask, token_type_ids) → `OUTPUTS`.

        `last_hidden_state` is what sentence-transformers' own onnx backend, transformers.js and others
        read; `sentence_embedding` is pooled (and normalized, if the model does so).
        """
        has_no_padding = self.add(
            "Cast", self.add("ReduceMin", "attention_mask", keepdims=0), to=TensorProto.BOOL
        )
        mask = self.add("Cast", "attention_mask", to=TensorProto.INT32)
        bias = self._attention_bias()
        readers = _readers(self.weights.layers[0])
        x = self.norm(self._embed(), self.weights.norm, "layer.0.attention", readers)
        for number, layer in enumerate(self.weights.layers):
            x = self._layer(number, layer, x, (has_no_padding, mask, bias))
        self.add("Identity", x.value, output=OUTPUTS[0])
        self._pool(OUTPUTS[0])
        return self._to_model()

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        output = output or f"{kind}_{len(self._nodes)}"
        domain = _MICROSOFT if kind in _CONTRIBUTED else ""
        self._nodes.append(
            helper.make_node(
                kind, inputs, [output], f"{kind}_{len(self._nodes)}", domain=domain, **attributes
            )
        )
        return output

    def constant(self, name: str, array: Any) -> str:
        """Add a constant; returns its name."""
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def embed_words(self) -> str:
        """Look the words up."""
        return self.add("Gather", self.constant("words", self.weights.words), "input_ids")

    def norm(self, x: str, norm: Norm, site: str, readers: tuple[Linear, ...]) -> Activation:
        """LayerNorm. `readers` are the products that read the result at `site`."""
        return Activation(self._layer_norm(x, norm, site))

    def project(self, site: str, x: Activation, *linears: Linear) -> list[str]:
        """Multiply `x`, read at `site`, by each of `linears` and add their biases."""
        self.sites[site] = x.value
        return [
            self.add_constant(
                self.add("MatMul", x.value, self.constant(f"{site}.weight.{i}", linear.weight.T)),
                f"{site}.bias.{i}",
                linear.bias,
            )
            for i, linear in enumerate(linears)
        ]

    def project_down(self, site: str, x: str, linear: Linear) -> str:
        """The same for the output of Gelu, the values of which are spread most unevenly."""
        return self.project(site, Activation(x), linear)[0]

    def add_constant(self, x: str, name: str, array: FloatArray) -> str:
        """Add a constant array, which is kept as `name`."""
        return self.add("Add", x, self.constant(name, array))

    def _layer(self, number: int, layer: Layer, x: Activation, attention: tuple[str, str, str]) -> Activation:
        site = f"layer.{number}"
        query, key, value = self.project(f"{site}.attention", x, layer.query, layer.key, layer.value)
        context = self._attend(site, (query, key, value), attention)
        attended = self.project(f"{site}.context", Activation(context), _plus(layer.output, x.shift))[0]
        y = self.norm(self._plus_residual(x, attended, site), layer.attention_norm, f"{site}.up", (layer.up,))
        hidden = self.add("Gelu", self.project(f"{site}.up", y, layer.up)[0])
        lowered = self.project_down(f"{site}.down", hidden, _plus(layer.down, y.shift))
        is_last = number + 1 == len(self.weights.layers)
        readers = () if is_last else _readers(self.weights.layers[number + 1])
        total = self._plus_residual(y, lowered, f"{site}.up")
        return self.norm(total, layer.norm, f"layer.{number + 1}.attention", readers)

    def _plus_residual(self, x: Activation, y: str, site: str) -> str:
        """Add, where the shift of x is in y already."""
        if x.scale is None:
            return self.add("Add", x.value, y)
        return self.add("Add", self.add("Mul", x.value, self.constant(f"{site}.residual", x.scale)), y)

    def _layer_norm(self, x: str, norm: Norm, site: str) -> str:
        scale, bias = (self.constant(f"{site}.norm.{name}", array) for name, array in norm._asdict().items())
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=self.weights.epsilon)

    def _embed(self) -> str:
        shape = self.add("Shape", "input_ids", start=1, end=2)
        positions = self.add(
            "Slice", self.constant("positions", self.weights.positions), self._integers("zero", 0), shape
        )
        x = self.add("Add", self.embed_words(), positions)
        if self.weights.token_types is None:
            return x
        types = self.add("Gather", self.constant("token_types", self.weights.token_types), "token_type_ids")
        return self.add("Add", x, types)

    def _attention_bias(self) -> str:
        """MPNet's, for every pair of tokens; empty for other families."""
        if self.weights.distance_bias is None:
            return ""
        n_positions = len(self.weights.positions)
        length = self.add("Squeeze", self.add("Shape", "input_ids", start=1, end=2))
        numbers = self.add("Range", self.constant("0", np.int64(0)), length, self.constant("1", np.int64(1)))
        rows = self.add("Unsqueeze", numbers, self._integers("one", 1))
        columns = self.add("Add", self.add("Sub", numbers, rows), self._integers("middle", n_positions - 1))
        table = self.constant("distance_bias", self.weights.distance_bias)
        return self.add("Unsqueeze", self.add("Gather", table, columns, axis=1), self._integers("zero", 0))

    def _attend(self, site: str, inputs: tuple[str, str, str], attention: tuple[str, str, str]) -> str:
        has_no_padding, mask, bias = attention
        output = f"{site}.attended"
        branches = {
            name: self._branch(f"{output}.{name}", [*inputs, "", branch_mask, bias])
            for name, branch_mask in (("then_branch", ""), ("else_branch", mask))
        }
        return self.add("If", has_no_padding, output=output, **branches)

    def _branch(self, output: str, inputs: list[str]) -> onnx.GraphProto:
        node = helper.make_node(
            "MultiHeadAttention", inputs, [output], output, domain=_MICROSOFT, num_heads=self.weights.n_heads
        )
        shape = ["batch", "sequence", self.settings.dim]
        return helper.make_graph(
            [node], output, [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
        )

    def _pool(self, tokens: str) -> None:
        normalized = self.settings.is_normalized
        output = None if normalized else OUTPUTS[1]
        if self.settings.pooling == "cls":
            pooled = self.add("Gather", tokens, self.constant("0", np.int64(0)), axis=1, output=output)
        else:
            mask = self.add(
                "Unsqueeze",
                self.add("Cast", "attention_mask", to=TensorProto.FLOAT),
                self._integers("one", 1),
            )
            total = self.add("Squeeze", self.add("MatMul", mask, tokens), self._integers("one", 1))
            n_tokens = self.add(
                "Clip",
                self.add("ReduceSum", mask, self._integers("two", 2), keepdims=0),
                self.constant("tiny", np.float32(1e-9)),
            )
            pooled = self.add("Div", total, n_tokens, output=output)
        if normalized:
            self.add("LpNormalization", pooled, axis=-1, p=2, output=OUTPUTS[1])

    def _integers(self, name: str, value: int) -> str:
        return self.constant(name, np.array([value], dtype=np.int64))

    def _to_model(self) -> onnx.ModelProto:
        inputs = ["input_ids", "attention_mask"]
        inputs += ["token_type_ids"] * (self.weights.token_types is not None)
        shapes = (["batch", "sequence", self.settings.dim], ["batch", self.settings.dim])
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info(i, TensorProto.INT64, ["batch", "sequence"]) for i in inputs],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in zip(OUTPUTS, shapes, strict=True)
            ],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=_IR_VERSION,
            producer_name="pubvec",
            producer_version=__version__,
        )


def _readers(layer: Layer) -> tuple[Linear, ...]:
    return layer.query, layer.key, layer.value


def _plus(linear: Linear, shift: FloatArray | None) -> Linear:
    """`linear` with what the residual beside it is shifted by."""
    return linear if shift is None else Linear(linear.weight, linear.bias + shift)

"""Questions to ONNX Runtime about single nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mbn2c.frontend.nodes import proto_of
from mbn2c.frontend.runtime import Oracle
from mbn2c.ops.base.call import OnnxNode
from mbn2c.ops.base.prequantized.values import Constants


def run_nodes(
    nodes: Sequence[OnnxNode],
    inputs: Constants,
    output: str,
    constants: Constants,
    opsets: Mapping[str, int],
) -> np.ndarray:
    """What ONNX Runtime computes for some nodes, each as it is written."""
    used = {name for node in nodes for name in node.inputs} - set(inputs)
    graph = helper.make_graph(
        [proto_of(node) for node in nodes],
        "probe",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(output)],
        [numpy_helper.from_array(constants[name], name) for name in sorted(used) if name in constants],
    )
    versions = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=versions, ir_version=min(onnx.IR_VERSION, 10))
    return Oracle(model.SerializeToString(), threads=1, as_written=True).run(inputs, [output])[output]

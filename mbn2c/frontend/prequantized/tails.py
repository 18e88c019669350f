"""What a quantized model may end with: a tail of its last int8 tensor, in float32 or in integers."""

from __future__ import annotations

from dataclasses import replace

from mbn2c.ir.axes import CHANNEL, Value
from mbn2c.ops.base.call import MICROSOFT, Declined, Importer
from mbn2c.ops.base.prequantized.values import Meaning, PrequantizedCall, PrequantizedImporter
from mbn2c.tasks.tails import TAIL_OF_OPERATOR, TAILS


def split_off(importer: Importer) -> PrequantizedImporter:
    """A tail of the last int8 tensor, in float32."""

    def tail(call: PrequantizedCall) -> Value | Declined:
        terms, steps = call.meaning(0).terms, call.meaning(0).steps
        if len(steps) != (0 if terms else 1):
            raise call.refuse(
                f"{call.op} of something that is not quantized is not supported in a quantized model",
                "quantize what it reads, too",
            )
        return relabeled(importer)(call)

    return tail


def relabeled(importer: Importer) -> PrequantizedImporter:
    """What looks at a tensor in another way, of one that means the same as before."""

    def relabel_quantized(call: PrequantizedCall) -> Value | Declined:
        made = importer(call)
        call.builder.meanings[call.node.outputs[0]] = call.builder.meanings[call.node.inputs[0]]
        return made

    return relabel_quantized


def _qlinear_over_classes(call: PrequantizedCall) -> Value:
    """As `relabel.tail_over_classes`, in integers; source  ONNX Runtime contrib operators"""
    x, _ = call.integers_in(0)
    x_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_in_file)
    axes = x.groups[call.axis(len(x.shape), -1) :] if call.integer("opset", 13) < 13 else None
    normalised = x.groups[call.axis(len(x.shape), -1)] if axes is None else tuple(a for group in axes for a in group)
    _, height, width, channels = call.extents(x)
    if normalised != ((CHANNEL,) if channels > 1 else ()) or height * width > 1:
        raise call.refuse(f"{call.op} that does not run over the classes is not supported")
    call.builder.meanings[call.node.outputs[0]] = Meaning(False, y_in_file.unsigned)
    return replace(x, tail=_tail_of(call))


def _qlinear_of_each_value(call: PrequantizedCall) -> Value:
    """As `relabel.tail_of_each_value`, in integers; source  ONNX Runtime contrib operators"""
    x, _ = call.integers_in(0)
    x_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_in_file)
    call.builder.meanings[call.node.outputs[0]] = Meaning(False, y_in_file.unsigned)
    return replace(x, tail=_tail_of(call))


def _tail_of(call: PrequantizedCall) -> str:
    return TAIL_OF_OPERATOR[call.op.removeprefix("QLinear")]


QLINEAR_OVER_CLASSES, QLINEAR_OF_EACH_VALUE = (
    {(MICROSOFT, f"QLinear{tail.operator}"): importer for tail in TAILS.values() if tail.over_classes is over_classes}
    for over_classes, importer in ((True, _qlinear_over_classes), (False, _qlinear_of_each_value))
)

"""A node of an ONNX file -> what its author calls the layer, where its own name is a number of the exporter's.

torch's newer exporter (dynamo) numbers its nodes and says beside each in which module it was; the module whose weights
a node has is the layer's name. tf2onnx numbers what it makes of a layer with folded batch norm, and leaves the layer's
name to the weights. Any other name stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Container

from onnx import NodeProto

# Torch says these as Python's lists of words: the modules around a node, from the outermost on, then its function; and
# the classes of the same.
_SCOPES, _CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
_LONGEST = 4096
_WORD = re.compile(r"'([^']*)'")
_NUMBERED = re.compile(r"[A-Za-z]\w*__\d+")
_WEIGHT = re.compile(r"(.+/.+)/(?:merged_input|ReadVariableOp)(?::0)?")


def layer_name(node: NodeProto, weights: Container[str]) -> str:
    """As the author of the model would call it; weights: names of the constants of the file."""
    scopes = _words(node, _SCOPES)
    own = [name for name in node.input[1:2] if name in weights]
    if len(scopes) > 1:
        owner = next((name.removesuffix(".weight") for name in own if name.endswith(".weight")), "")
        return owner or _of_module(scopes, _words(node, _CLASSES))
    if _NUMBERED.fullmatch(node.name):
        found = next((match for name in own if (match := _WEIGHT.fullmatch(name))), None)
        return found[1] if found else node.name
    return node.name or f"{node.op_type}_{node.output[0]}"


def _words(node: NodeProto, key: str) -> list[str]:
    text = next((entry.value for entry in node.metadata_props if entry.key == key), "")
    return _WORD.findall(text[:_LONGEST])


def _of_module(scopes: list[str], classes: list[str]) -> str:
    """The module of torch's own that does nothing else; in a module of the user's the function as well."""
    *_, module, function = scopes
    is_layer = len(classes) > 1 and classes[-2].startswith("torch.nn.modules.") and ".container." not in classes[-2]
    if is_layer and module:
        return module
    # Its name without the number that makes it the only one in the file: the module does that already.
    base = re.sub(r"_\d+$", "", function)
    return f"{module}.{base}" if module else function

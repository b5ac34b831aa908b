"""A graph as an ONNX model, written directly: milliseconds, and no torch.

Batch norm is folded into the convolution before it, dropout vanishes, every node carries the
path of its layer. Maps have the graph's own resolution; what engines disagree about, windows that
reach over a map's edge, is written as explicit padding.

    image (batch, c, h, w) → scores (batch, classes) where the graph ends in (classes, 1, 1)
                             scores (batch, c, h, w) elsewhere

write.py      `to_onnx`
lowerings.py  one lowering a primitive; a new one joins by `@lower.register`
model.py      the model under way, and where a node is lowered to
weights.py    a layer's weights, given or random
"""

from nas.onnx_model.lowerings import lower
from nas.onnx_model.write import to_onnx

__all__ = ["lower", "to_onnx"]

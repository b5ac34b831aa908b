"""The block families, one file each. `block` and `head` register one's own."""

from nas.blocks.attention import attend, cbam, squeeze_excite
from nas.blocks.base import (
    BLOCKS,
    HEADS,
    Block,
    Head,
    block,
    head,
    import_blocks,
    legal_groups,
    name_of,
    round_width,
    split_width,
    unusual,
)
from nas.blocks.ghostnet import Ghost, ghost_module, pointwise
from nas.blocks.heads import Classifier, ConvClassifier, Embedding, PoolBlock
from nas.blocks.inception import Inception
from nas.blocks.mobilenet import ConvBlock, DepthwiseSeparable, Identity, InvertedResidual
from nas.blocks.shufflenet import ShuffleV1, ShuffleV2
from nas.blocks.squeezenet import Fire

__all__ = [
    "BLOCKS",
    "HEADS",
    "Block",
    "Classifier",
    "ConvBlock",
    "ConvClassifier",
    "DepthwiseSeparable",
    "Embedding",
    "Fire",
    "Ghost",
    "Head",
    "Identity",
    "Inception",
    "InvertedResidual",
    "PoolBlock",
    "ShuffleV1",
    "ShuffleV2",
    "attend",
    "block",
    "cbam",
    "ghost_module",
    "head",
    "import_blocks",
    "legal_groups",
    "name_of",
    "pointwise",
    "round_width",
    "split_width",
    "squeeze_excite",
    "unusual",
]

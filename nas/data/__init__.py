"""Images as tensors in memory, with a split that belongs to the data.

images.py   Images, Data
load.py     load_data: from a name, a folder, a file or a function to Data
split.py    the fixed, stratified split
arrays.py idx.py cifar.py folder.py custom.py   one source each
batches.py  to_batch, resize, resized, augment
"""

from nas.data.batches import augment, resize, resized, to_batch
from nas.data.images import Data, Images
from nas.data.load import load_data

__all__ = ["Data", "Images", "augment", "load_data", "resize", "resized", "to_batch"]

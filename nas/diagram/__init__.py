"""A network drawn block by block: the data first, then a table of them, then a picture."""

from nas.diagram.layout import Diagram, Part, lay_out

__all__ = ["Diagram", "Part", "lay_out"]

"""A graph as a Python file that needs torch alone, written as a person would.

scopes.py    the graph as a tree of scopes, by the names of its layers
calls.py     constructors' calls as text, with holes for their numbers
layers.py    each layer as such a call, or as an expression
kinds.py     which scopes are classes, and which of these are of one form
naming.py    what classes and their parameters are called
classes.py   scopes of one form become one class; what differs between them its parameters
helpers.py   what a file defines above its classes
write.py     the file
"""

from nas.exporting.source.write import to_python

__all__ = ["to_python"]

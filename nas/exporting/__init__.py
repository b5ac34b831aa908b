"""Exports: a network as a file for an engine or a reader, checked, timed and described.

export.py    `nas.export`
subject.py   what is exported: the network, its weights, its images
formats.py   how each format is written, and read back
check.py     the file's scores against torch's on real images
card.py      the model card beside the file
source/      a graph as readable Python
"""

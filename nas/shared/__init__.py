"""One set of weights for a whole space, which all candidates share: a ranking in a second each.

slots.py       which channels of the largest network a candidate's channels are
layout.py      what is kept, by name and shape, and which part of it an architecture takes
survey.py      the layout of a space
slices.py      the weights of an architecture, by the names of its own torch module
network.py     the torch module that runs any architecture on its part
paths.py       the architectures that it is trained by
training.py    its training
prepare.py     from a space to a trained checkpoint: memory, time, going on after a kill
checkpoint.py  the files, and what a worker loads
scoring.py     an architecture's accuracy and cross-entropy

Only `scoring` is needed where candidates are evaluated.
"""

"""What `ganaccel bench` measures, cell by cell, and how its cells are summed up.

Example:
    >>> import keras_ganaccel as ga
    >>> ga.benchmarks.PROTOCOLS["P2"].baseline
    'kd'
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""A sampler over a fixed pool of candidates with a kernel."""

from keras_actfn.search import PoolSampler

__all__ = ["PoolSampler"]

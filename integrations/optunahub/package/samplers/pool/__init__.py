from keras_actfn.search import PoolSampler


__all__ = ["PoolSampler"]

"""NumPy references of the preference and distillation losses, one example at a time."""

import math

import numpy as np


def log_softmax(x):
    """Over the last axis, in float64."""
    x = np.asarray(x, "float64")
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def sequence_log_probability(logits, tokens, mask):
    """Σ over masked positions t of log softmax(logits at t − 1) of token t."""
    table = log_softmax(logits)
    return sum(table[t - 1, tokens[t]] for t in range(1, len(tokens)) if mask[t])


def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta, smoothing):
    """Rafailov et al., eq. 7, with the labels flipped with probability `smoothing`."""
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    win = 1 / (1 + math.exp(-margin))
    return -((1 - smoothing) * math.log(win) + smoothing * math.log(1 - win))


def soft_distillation(student, teacher, temperature):
    """Touvron et al., eq. 2's second term without λ, from logits."""
    p = np.exp(log_softmax(np.asarray(teacher) / temperature))
    q = np.exp(log_softmax(np.asarray(student) / temperature))
    return temperature**2 * float((p * np.log(p / q)).sum())

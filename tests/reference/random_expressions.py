"""Random expressions over the whole table of operators, from a seed."""

import random

from reference import expressions as reference

from keras_actfn.expressions import Expression


def random_expressions(count, seed, depth=4):
    """Return `count` expressions of up to `depth` operators on top of each other."""
    generator = random.Random(seed)
    return [_tree(generator, generator.randint(1, depth)) for _ in range(count)]


def _tree(generator, depth):
    if depth == 0:
        leaf = generator.random()
        return Expression("x") if leaf < 0.9 else Expression(generator.choice([0.5, 2.0, 3.25]))
    kind = generator.random()
    if kind < 0.6:
        name, count = generator.choice(list(reference.UNARY)), 1
    elif kind < 0.9:
        name, count = generator.choice(list(reference.BINARY)), 2
    else:
        name, count = generator.choice(list(reference.N_ARY)), generator.randint(2, 4)
    depths = [depth - 1] + [generator.randint(0, depth - 1) for _ in range(count - 1)]
    return Expression(name, tuple(_tree(generator, d) for d in depths))

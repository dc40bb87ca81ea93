"""What is known of any Keras model: its activations, its graph, its layers' inputs, its seeds.

Everything that reads the inner structure of Keras's models, or changes how one of them runs,
is in this package.
"""

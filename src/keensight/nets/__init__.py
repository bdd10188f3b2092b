"""Room of the networks, the only one that names Keras or TensorFlow."""

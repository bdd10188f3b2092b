"""Networks: the only package that uses Keras or TensorFlow."""

"""Compression of Keras 3 models: the bridge to tf_keras, pruning, clustering and quantization."""

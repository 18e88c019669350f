"""The demo of maps: what `train_shapes` makes lies beside it."""

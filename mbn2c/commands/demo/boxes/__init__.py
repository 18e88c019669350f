"""The demo of boxes: what `train_boxes` makes lies beside it."""

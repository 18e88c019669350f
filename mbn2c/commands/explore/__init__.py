"""Networks before they are trained: what they take on a board, as widths and input sizes go."""

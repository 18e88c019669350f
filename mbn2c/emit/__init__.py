"""Plan -> Bundle of C files."""

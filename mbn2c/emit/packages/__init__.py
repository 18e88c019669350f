"""C of a network -> the same C as other build systems and projects take it."""

"""Model, samples and options -> a checked int8 network, and the file it is saved in."""

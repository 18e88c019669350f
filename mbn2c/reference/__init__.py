"""The integer reference: what the device must compute, bit by bit."""

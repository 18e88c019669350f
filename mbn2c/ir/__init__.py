"""Graph, Plan, Kernel: what the stages pass on, and the laws a Graph must keep."""

"""Float Graph and calibration images -> int8 Graph."""

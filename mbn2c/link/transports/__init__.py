"""Port, emulator or labgrid place -> a Transport: read, write, close."""

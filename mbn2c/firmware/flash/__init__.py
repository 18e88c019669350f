"""Firmware (ELF) -> the flash memory of a board, with the tool that the board names."""

"""Tensors -> frames on a wire to a board or an emulator, and answers -> tensors, facts and cycles."""

"""Bundle and target -> compiled firmware, its sizes and its worst-case stack."""

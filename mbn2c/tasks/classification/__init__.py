"""Classification: each output says a class, a class at each position, yes or no, or numbers as they are."""

"""What a build knows -> one typed record, and its views as JSON, HTML and text."""

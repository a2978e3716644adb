"""What a reader sees: text and HTML, figures, progress."""

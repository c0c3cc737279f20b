"""What a search costs."""

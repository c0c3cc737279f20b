"""Systems × tasks → measures."""

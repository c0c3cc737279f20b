"""PubMed's XML files → `articles/`."""

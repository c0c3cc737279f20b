"""The server: search, embeddings and the web page over HTTP."""

"""HTTPS: the server, and what is served on it."""

"""The factory's certificate authority: a root, an intermediate per batch, a leaf per unit."""

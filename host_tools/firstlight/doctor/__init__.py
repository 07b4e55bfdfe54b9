"""What is wrong with a board that came back: read, never changed, and told in one sentence."""

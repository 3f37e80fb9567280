"""Models, their inputs and outputs, and the servers that run them."""

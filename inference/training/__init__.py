"""Synthetic images with known findings, and the training of the demonstration models on them."""

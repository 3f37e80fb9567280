"""What each model learns from: ONE FILE = one model's recipe, under the model's name."""

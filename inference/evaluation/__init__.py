"""How good a model is: figures, calibration and the page that states both. No torch."""

"""How Radstream and its engines are put on machines."""

"""The `radstream` command."""

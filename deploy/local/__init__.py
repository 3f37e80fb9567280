"""The real servers on one machine, as child processes, without containers."""

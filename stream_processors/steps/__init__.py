"""One file, one step; the file's name is the step's name everywhere."""

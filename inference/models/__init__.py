"""One file per model: its SPEC, its preprocess and its postprocess, beside the weights it names."""

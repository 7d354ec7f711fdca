"""The checks of `llava-ov doctor` of a model on a server."""

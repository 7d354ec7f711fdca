"""The command line `llava-ov`: one file per command, each with `add_parser` and `run`."""

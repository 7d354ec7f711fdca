"""Stands in for a robot: prints a step, and asks a person whether it is done. Replace it by what moves your robot."""


def carry_out(action: str, *arguments: str) -> bool:
    """Carry out a step of a plan; return whether it succeeded."""
    print(action, *arguments, flush=True)
    return input().strip() in ("", "y", "yes")

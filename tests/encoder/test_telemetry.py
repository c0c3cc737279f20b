"""onnxruntime sends telemetry from version 1.32 on. pubvec switches it off: nothing is asked, sent or written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ENCODE = """
import sys
if sys.argv[1] == "direct":
    import onnxruntime
    from pathlib import Path
    onnxruntime.InferenceSession(str(next((Path(sys.argv[2]) / "onnx").glob("*.onnx"))))
else:
    seen = []
    watched = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
    sys.addaudithook(lambda event, arguments: seen.append(event) if event in watched else None)
    import pubvec
    assert pubvec.load(sys.argv[2]).encode(["aspirin prevents stroke"]).shape[0] == 1
    assert not seen, seen
assert "onnxruntime" in sys.modules
"""
_ASK = "import socket\ntry: socket.getaddrinfo('pubvec.invalid', 80)\nexcept OSError: pass"


@pytest.fixture(scope="module")
def model() -> str:
    from pubvec.encoder import resolve

    return str(resolve("pubvec-small"))


def run_in(home: Path, *command: str, prefix: tuple[str, ...] = ()) -> set[str]:
    """Run Python in an empty home folder, and return the files that it left there."""
    home.mkdir()
    names = (
        "HOME",
        "USERPROFILE",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "LOCALAPPDATA",
        "APPDATA",
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= dict.fromkeys(names, str(home))
    done = subprocess.run(
        [*prefix, sys.executable, *command], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}


@pytest.mark.slow  # starts processes
def test_encoding_leaves_no_file_and_asks_nobody(tmp_path: Path, model: str) -> None:
    assert run_in(tmp_path / "home", "-c", _ENCODE, "pubvec", model) == set()


@pytest.mark.slow  # starts a process
def test_the_check_sees_the_files_of_a_runtime_that_does_send(tmp_path: Path, model: str) -> None:
    written = run_in(tmp_path / "home", "-c", _ENCODE, "direct", model)
    if not written:
        pytest.skip("this version of onnxruntime writes nothing here, with telemetry or without")
    assert any("onnxruntime" in name.lower() for name in written)


@pytest.mark.slow  # starts processes
def test_no_system_call_reaches_for_the_network(tmp_path: Path, model: str) -> None:
    """Native code is seen by strace alone; the second process shows that a query would be seen."""
    trace = tmp_path / "trace"
    prefix = ("strace", "-f", "-e", "trace=%network", "-o", str(trace))
    if not shutil.which("strace") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("strace is not here, or may not trace")
    run_in(tmp_path / "asking", "-c", _ASK, prefix=prefix)
    assert "AF_INET" in trace.read_text()
    run_in(tmp_path / "home", "-c", _ENCODE, "pubvec", model, prefix=prefix)
    assert "exited with 0" in trace.read_text() and "AF_INET" not in trace.read_text()


@pytest.mark.slow  # starts a process
def test_encoding_works_where_there_is_no_network_at_all(tmp_path: Path, model: str) -> None:
    prefix = ("unshare", "--net")
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this user cannot make a network namespace")
    assert run_in(tmp_path / "home", "-c", _ENCODE, "pubvec", model, prefix=prefix) == set()


def test_telemetry_is_off_before_the_runtime_can_be_imported() -> None:
    code = "import os, pubvec; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"

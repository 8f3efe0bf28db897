# SPDX-License-Identifier: ISC
"""What make install puts into a folder."""
import os
import subprocess
from pathlib import Path

import pytest

from node import BUILD, ROOT, SLOW


def install(folder):
    """Installs the build that is tested; the folder with its programs."""
    if BUILD.parent != ROOT / "build":
        pytest.skip(f"{BUILD} is not a build folder of make")
    variant = "" if BUILD.name == "plain" else BUILD.name.replace("-", ",")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("MAKE") and name != "MFLAGS"}
    done = subprocess.run(
        ["make", "-s", "-C", ROOT, "install", f"DESTDIR={folder}",
         f"SANITIZE={variant}"], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=300 * SLOW)
    assert done.returncode == 0, done.stdout
    return Path(folder) / "usr/sbin"

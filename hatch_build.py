"""Build hook: compile every module of pythran_kernels/ into the package workbench_kernels.

The compiled twins live in a top-level package of their own, next to a manifest with the hash of
the source each was made from, so that a stale or missing one is noticed (workbench/kernels.py).
Nothing is written beside the sources.

Switches (environment):
  CXX                   the C++ compiler; by default the first of COMPILERS on PATH
  WORKBENCH_PORTABLE=1  code for any CPU of this architecture instead of this machine's
  WORKBENCH_CXXFLAGS    replaces all optimisation flags
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "workbench_kernels"
SHARED = ("data", "notebooks")  # what an installed wheel carries under workbench/share/
COMPILERS = ("g++", "x86_64-conda-linux-gnu-g++", "aarch64-conda-linux-gnu-g++", "c++", "clang++")


class PythranHook(BuildHookInterface):
    def initialize(self, version, build_data):  # version: "standard" | "editable"
        editable = version == "editable"
        include = build_data["force_include_editable" if editable else "force_include"]
        if not editable:
            for folder in SHARED:
                include[str(Path(self.root, folder))] = f"workbench/share/{folder}"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

        cxx = find_compiler()
        if cxx is None:
            self.app.display_warning(
                f"NO C++ COMPILER: {os.environ.get('CXX') or ', '.join(COMPILERS)} not on PATH, so "
                "the kernels stay plain Python, hundreds of times slower. Install one (Debian: "
                "apt-get install g++) or set CXX, then install again."
            )
            return
        out = Path(self.root, "build", sysconfig.get_platform(), PACKAGE)
        out.mkdir(parents=True, exist_ok=True)
        sources = sorted(Path(self.root, "pythran_kernels").glob("[!_]*.py"))
        flags = optimisation_flags(cxx)
        sysconfig.get_config_vars()  # its first call fills a cache, and not safely in threads
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            modules = list(
                pool.map(lambda source: compile_kernel(source, out, cxx, flags), sources)
            )
        manifest = out / "manifest.json"
        manifest.write_text(
            json.dumps(
                {
                    "compiler": first_line([*cxx, "--version"]),
                    "flags": flags,
                    "pythran": pythran_version(),
                    "sources": {source.stem: sha256(with_imports(source)) for source in sources},
                },
                indent=1,
            )
        )
        init = out / "__init__.py"
        init.write_text('"""Compiled kernels; import them through workbench.kernels."""\n')
        for path in [init, manifest, *modules]:
            include[str(path)] = f"{PACKAGE}/{path.name}"


def find_compiler():
    """$CXX, or the first known compiler on PATH, as an argument list; None where there is none."""
    named = shlex.split(os.environ.get("CXX", ""))
    candidates = [named] if named else [[name] for name in COMPILERS]
    return next((cxx for cxx in candidates if shutil.which(cxx[0])), None)


def optimisation_flags(cxx):
    """-O3 for this very CPU, 512-bit vectors where it has them, unless the switches differ."""
    if "WORKBENCH_CXXFLAGS" in os.environ:
        return shlex.split(os.environ["WORKBENCH_CXXFLAGS"])
    flags = ["-O3"]
    if macros(cxx, "-fopenmp") is not None:  # Apple's clang has none: one thread only
        flags.append("-fopenmp")
    if os.environ.get("WORKBENCH_PORTABLE", "0") in ("", "0"):
        native = macros(cxx, "-march=native")
        if native is not None:
            flags.append("-march=native")
        if "__AVX512BW__" in (native or ""):
            flags.append("-mprefer-vector-width=512")
    return flags


def macros(cxx, flag):
    """What the preprocessor predefines under `flag`; None where the compiler refuses it."""
    probe = [*cxx, flag, "-dM", "-E", "-x", "c++", os.devnull]
    result = subprocess.run(probe, capture_output=True, text=True)
    return None if result.returncode else result.stdout


def compile_kernel(source, out, cxx, flags):
    """Translate and compile one module; skip it when nothing it depends on has changed."""
    import numpy
    import pythran

    target = out / (source.stem + sysconfig.get_config_var("EXT_SUFFIX"))
    identity = [pythran.__version__, numpy.__version__, *cxx, *flags, sys.version]
    key = sha256(with_imports(source) + "\0".join(identity).encode())
    stamp = target.with_suffix(".key")
    if target.exists() and stamp.exists() and stamp.read_text() == key:
        return target
    cpp = target.with_suffix(".cpp")
    run([sys.executable, "-m", "pythran.run", "-E", str(source), "-o", str(cpp)], source)
    includes = [
        os.path.dirname(pythran.__file__),
        numpy.get_include(),
        sysconfig.get_paths()["include"],
    ]
    # build under another name, then rename: a process that has the old module mapped keeps it
    fresh = target.with_suffix(".new")
    run(
        [
            *cxx,
            "-std=c++17",
            "-fPIC",
            "-shared",
            "-DNDEBUG",
            "-DENABLE_PYTHON_MODULE",
            "-D__PYTHRAN__=3",
            "-DPYTHRAN_BLAS_NONE",
            "-fno-math-errno",
            "-fvisibility=hidden",
            "-fno-wrapv",
            "-w",
            *flags,
            *[f"-I{folder}" for folder in includes],
            str(cpp),
            "-o",
            str(fresh),
        ],
        source,
    )
    fresh.replace(target)
    stamp.write_text(key)
    return target


def with_imports(source):
    """The text of a kernel module and of its siblings that it imports: what it is compiled from."""
    text = source.read_bytes()
    names = re.findall(rb"^from \.(\w+) import", text, re.MULTILINE)
    return text + b"".join(with_imports(source.with_name(f"{name.decode()}.py")) for name in names)


def run(command, source):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(
            f"pythran_kernels/{source.name} did not compile "
            f"(exit {result.returncode}): {shlex.join(command)}\n{result.stderr[-4000:]}"
        )


def first_line(command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]


def pythran_version():
    import pythran

    return pythran.__version__


def sha256(data):
    return hashlib.sha256(data).hexdigest()

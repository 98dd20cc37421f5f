"""`python stand_ins.py SITE_PACKAGES`: makes PyTorch importable without the CUDA packages it names, for processors only.

The wheel for Linux is linked against CUDA's libraries, 4 of its 5.4 GB installed. Each gets a stand-in with its name and the
symbols, with their versions, that PyTorch's own libraries look up in it. They answer that there is no device. Needs gcc and
readelf.
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

LIBRARIES = (
    "cublas",
    "cublasLt",
    "cuda",
    "cudart",
    "cudnn",
    "cufft",
    "cufile",
    "cupti",
    "curand",
    "cusolver",
    "cusparse",
    "cusparseLt",
    "nccl",
    "nvJitLink",
    "nvrtc",
    "nvshmem_host",
)
#: How the symbols of a library begin, where their version does not say which one it is. The longer ones go first.
BEGINNINGS = (
    ("cublasLt", "cublasLt"),
    ("cusparseLt", "cusparseLt"),
    ("cublas", "cublas"),
    ("cusparse", "cusparse"),
    ("cusolver", "cusolver"),
    ("cufft", "cufft"),
    ("cuFile", "cufile"),
    ("cupti", "cupti"),
    ("curand", "curand"),
    ("nvrtc", "nvrtc"),
    ("nccl", "nccl"),
    ("pnccl", "nccl"),
    ("nvshmem", "nvshmem_host"),
    ("cudnn", "cudnn"),
    ("nvJitLink", "nvJitLink"),
)
#: The driver's "no device".
NO_DEVICE = 100


def read(*arguments: str) -> str:
    return subprocess.run(["readelf", *arguments], capture_output=True, text=True, check=True).stdout


def stem(library: str) -> str:
    return library.split(".so")[0].removeprefix("lib")


def home(symbol: str, version: str, names: dict[str, str]) -> str | None:
    """The library that a symbol is looked up in."""
    if stem(version) in names:
        return names[stem(version)]
    bare = symbol.lstrip("_")
    for beginning, library in BEGINNINGS:
        if bare.startswith(beginning) and library in names:
            return names[library]
    return names.get("cudart") if re.match(r"cuda[A-Z]", bare) else None


def answer(symbol: str) -> str:
    """Registration while loading succeeds; whatever else is called says that there is no device."""
    if "String" in symbol or "ErrorName" in symbol:
        return f'const char *{symbol}(void) {{ return "there is no CUDA here"; }}'
    return f"long {symbol}(void) {{ return {0 if symbol.startswith('__cuda') else NO_DEVICE}; }}"


def main(site_packages: Path) -> None:
    torch = site_packages / "torch"
    needed: set[str] = set()
    wanted: dict[str, str] = {}
    for path in [*torch.glob("lib/*.so*"), *torch.glob("_C*.so")]:
        needed |= set(re.findall(r"NEEDED.*\[(.+?)\]", read("-dW", str(path))))
        for line in read("--dyn-syms", "-W", str(path)).splitlines():
            part = line.split()
            if len(part) >= 8 and part[6] == "UND":
                name, _, version = part[7].partition("@")
                wanted[name] = version.strip("@")
    names = {stem(library): library for library in needed if stem(library) in LIBRARIES}
    symbols: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for symbol, version in sorted(wanted.items()):
        library = home(symbol, version, names)
        if library is not None and re.fullmatch(r"\w+", symbol):
            symbols[library][version].append(symbol)
    with tempfile.TemporaryDirectory() as folder:
        for library in sorted(names.values()):
            compile_stand_in(Path(folder), torch / "lib" / library, symbols[library])


def compile_stand_in(folder: Path, path: Path, by_version: dict[str, list[str]]) -> None:
    code, versions = folder / "stand_in.c", folder / "versions"
    code.write_text("\n".join(answer(symbol) for own in by_version.values() for symbol in own))
    script = [f"{v} {{ global: {' '.join(f'{s};' for s in own)} }};" for v, own in by_version.items() if v]
    versions.write_text("\n".join(script))
    extra = [f"-Wl,--version-script={versions}"] if script else []
    command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", "-o", str(path), str(code), f"-Wl,-soname,{path.name}"]
    subprocess.run([*command, *extra], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

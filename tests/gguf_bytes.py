"""GGUF files made by hand, byte by byte, so that tests can break any of them."""

from struct import pack

UINT8, INT32, UINT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 0, 5, 4, 6, 7, 8, 9, 10
F32, Q8_0 = 0, 8


def string(text: str | bytes) -> bytes:
    encoded = text.encode() if isinstance(text, str) else text
    return pack("<Q", len(encoded)) + encoded


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    return string(key) + pack("<i", kind) + value


def array(key: str, kind: int, count: int, data: bytes = b"") -> bytes:
    return entry(key, ARRAY, pack("<iQ", kind, count) + data)


def info(name: str | bytes, dims=(4,), kind: int = F32, offset: int = 0, n_dims=None) -> bytes:
    """A tensor info; `dims` in the file's order, the contiguous one first."""
    n_dims = len(dims) if n_dims is None else n_dims
    sizes = b"".join(pack("<Q", size % 2**64) for size in dims)
    return string(name) + pack("<I", n_dims) + sizes + pack("<iQ", kind, offset)


def header(n_tensors: int, n_entries: int, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return magic + pack("<Iqq", version, n_tensors, n_entries)


def gguf(entries=(), infos=(), data: bytes = b"", alignment: int = 32, **head) -> bytes:
    """A whole file; `head` overrides fields of the header."""
    fields = {"n_tensors": len(infos), "n_entries": len(entries)} | head
    start = header(**fields) + b"".join(entries) + b"".join(infos)
    return start + bytes(-len(start) % alignment) + data


ARCHITECTURE = entry("general.architecture", STRING, string("llama"))


def small() -> bytes:
    """A valid file: every kind of metadata in short, two tensors (F32 and Q8_0), padded."""
    entries = [
        ARCHITECTURE,
        entry("a.uint8", UINT8, b"\x07"),
        entry("a.bool", BOOL, b"\x01"),
        array("a.strings", STRING, 2, string("ab") + string("")),
        array("a.floats", FLOAT32, 3, pack("<3f", 1, 2, 3)),
        array("a.bools", BOOL, 2, b"\x00\x01"),
    ]
    infos = [info("vector", (3,), F32, 0), info("matrix", (32, 2), Q8_0, 32)]
    data = pack("<3f", 1, -2, 3) + bytes(20)
    data += (pack("<e", 0.5) + bytes(range(32)) + pack("<e", 2.0) + bytes(32)) + bytes(28)
    return gguf(entries, infos, data)


def several() -> bytes:
    """A valid file of version 2 with one tensor of many types, aligned to 64."""
    types = {1: (1, 2), 12: (256, 144), 30: (1, 2), 34: (256, 54), 36: (1, 0), 42: (64, 18)}
    infos, data = [], b""
    for kind, (elements, size) in types.items():
        nbytes = 4096 // elements * size or 4096 // 4 + 32
        infos.append(info(f"t{kind}", (512, 8), kind, len(data)))
        data += bytes(n % 251 for n in range(nbytes)) + bytes(-nbytes % 64)
    entries = [ARCHITECTURE, entry("general.alignment", UINT32, pack("<I", 64))]
    return gguf(entries, infos, data, alignment=64, version=2)


def samples() -> list[bytes]:
    """Valid files to damage."""
    return [small(), several(), gguf([ARCHITECTURE]), gguf()]

"""How a key is spelt in the object store: as it is, as long as S3 and an S3 gateway over a file system both take it.

A gateway like versitygw keeps objects as files, so there a name has 255 bytes at most, `a` and `a/b` exclude each other, and
`..` and empty components mean something else. The spelling makes all of it possible, and leaves `site/study/image.dcm` alone:

- Letters, digits and most signs stay. What may not stay is ASCII and becomes `!` and two hexadecimal digits.
- The last component has a dot inside or ends in `!`; no other component has a dot. So no object has the name of a folder.
- A component over 200 bytes is cut into nested folders, whose names end in `!-`; an empty one is `!_`.

`!` is one of the few signs that S3 calls safe in keys.
"""

from __future__ import annotations

import re

MAX_KEY_BYTES = 1024
"""Bytes of a key in UTF-8, as S3 limits them."""

_PIECE = 200
"""Bytes of a name before it is cut: file systems allow 255, and the gateway adds to it while it writes."""
_LEAF, _CUT, _EMPTY = "!", "!-", "!_"
"""Ends of a last component without a dot and of a cut one, and the name of an empty one; no escape looks like these."""
_SPECIAL = re.compile(r"[\x00-\x1f\x7f!.\\]")
"""What is escaped in a folder's name: what obstore refuses (control characters), or means something here or to a file system."""
_SPECIAL_LAST = re.compile(r"[\x00-\x1f\x7f!\\]|^\.|\.$|\.(?=\.)")
"""The same in the last component, where a dot may stand alone between others."""
_ESCAPED = re.compile(r"!([0-9a-f]{2})")


def spelt(key: str) -> str:
    """Return the key in the store's spelling.

    Raises
    ------
    ValueError
        It is empty, or over `MAX_KEY_BYTES` in either spelling.
    """
    *folders, last = key.split("/")
    name = "/".join([*(_cut(_folder(folder)) for folder in folders), _cut(_last(last))])
    if not key or max(len(key.encode()), len(name.encode())) > MAX_KEY_BYTES:
        raise ValueError(f"a key has 1 to {MAX_KEY_BYTES} bytes")
    return name


def read_back(name: str) -> str:
    """Return the key behind a name that `spelt` made."""
    *folders, last = name.split("/")
    text = ""
    for part in folders:
        text += part.removesuffix(_CUT) if part.endswith(_CUT) else part.removesuffix(_EMPTY) + "/"
    text += last.removesuffix(_LEAF)
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def spelt_prefix(prefix: str) -> str:
    """Return the longest beginning that the names of all keys under a prefix share."""
    *folders, part = prefix.split("/")
    plain = _SPECIAL.split(part)[0]
    while len(plain.encode()) > _PIECE:
        plain = plain[: _PIECE // 4]
    return "".join(_cut(_folder(folder)) + "/" for folder in folders) + plain


def _folder(component: str) -> str:
    return _SPECIAL.sub(_escape, component) or _EMPTY


def _last(component: str) -> str:
    name = _SPECIAL_LAST.sub(_escape, component)
    return name if "." in name else name + _LEAF


def _escape(found: re.Match[str]) -> str:
    return f"!{ord(found[0]):02x}"


def _cut(name: str) -> str:
    """Cut a long name into nested folders, between characters."""
    pieces = [""]
    for sign in name:
        if len((pieces[-1] + sign).encode()) > _PIECE:
            pieces.append("")
        pieces[-1] += sign
    return "/".join([*(piece + _CUT for piece in pieces[:-1]), pieces[-1]])

"""Passwords of storage URLs: they are shown nowhere."""

import re

#: What stands in the place of a password.
MASK = "***"

# A password may hold characters that a URL should have quoted, spaces, "?" and "@" among them.
# What may belong to it is masked: everything to the line's last "@".
_USER = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.\-]*://[^\s:@/]*):.*@")
_QUERY = re.compile(r"""(?P<start>[?&;]\w*(?:pass|pwd|secret|token)\w*=)[^\s&;'"]*""", re.I)


def masked(text: object) -> str:
    """Text with the passwords of all URLs in it replaced by `***`.

    Example:
        >>> masked("postgresql://ann:sesame@host/runs is not there")
        'postgresql://ann:***@host/runs is not there'
    """
    text = _USER.sub(rf"\g<start>:{MASK}@", str(text))
    return _QUERY.sub(rf"\g<start>{MASK}", text)

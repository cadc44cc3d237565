"""Text from outside as Markdown shows it: as text, never as markup."""

import re

from optimum_ose.wording import one_line

_MARKUP = re.compile(r"([\\`*\[\]<>&!|~$]|(?<![^\W_])_|_(?![^\W_]))")
"""What begins or ends code, emphasis, links, HTML, entities, cells and formulas; `_` does so beside no letter."""
_ADDRESS = re.compile(r"(?i)(?<=[a-z0-9])(:(?=\S)|\.(?=[a-z])|@)|@(?=\w)")
"""What makes an address, which renderers link to, or the name of somebody who is told."""
_FIRST = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[#+\-=]))(.)")
"""What makes a heading or a list of a line that it begins."""
_LIMIT = 4000


def as_text(value: object) -> str:
    """A value on one line of Markdown that shows it as it is: no markup, no link, no HTML, no end of a table cell.

    Control characters are escaped; beyond 4,000 characters it is cut.
    """
    marked = _MARKUP.sub(r"\\\1", one_line(value, limit=_LIMIT))
    unlinked = _ADDRESS.sub(lambda found: f"&#{ord(found[0])};", marked)
    return _FIRST.sub(r"\1\\\2", unlinked)

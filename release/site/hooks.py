"""Hooks of MkDocs for the site of docs/.

Pages link to files outside docs/, such as ../CONTRIBUTING.md: on GitHub they are one click away, and on the site the link goes to
GitHub. A page that would load anything from another host fails a strict build.
"""

import logging
import posixpath
import re

log = logging.getLogger("mkdocs.hooks")

LINK = re.compile(r"(?<=\]\()(\.\./[^)\s]+)(?=\))")
LOADED = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^"'\s>]+"""
                    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=["']?(?:https?:)?//[^"'\s>]+""")
IN_STYLE = re.compile(r"""(?:@import\s+|url\()["']?(?:https?:)?//[^"')\s]+""")


def on_page_markdown(markdown, page, config, **_):
    """Sends links that leave docs/ to the repository."""
    def absolute(match):
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), match[1]))
        return f"{config.extra['repository']}/blob/main/{path}"

    return LINK.sub(absolute, markdown)


def on_post_page(output, page, **_):
    """Finds what the browser would load from another host."""
    for found in LOADED.findall(output) + IN_STYLE.findall(output):
        log.warning("%s loads from another host: %s", page.file.src_uri, found)
    return output

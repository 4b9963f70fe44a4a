"""Parsing of untrusted XML: no DTD, entities, network access, comments or processing instructions; bounded size.

The document is read as UTF-8, whatever it declares: another encoding could hide forbidden declarations.
"""

from lxml import etree
from lxml.etree import _Element as Element

DEEPEST = 40
MOST_ELEMENTS = 20_000

SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
PROTOCOL = "{urn:oasis:names:tc:SAML:2.0:protocol}"
METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"
SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}"

_WHITE_SPACE = " \t\r\n"  # XML 1.0, section 2.3; other spaces, such as no-break ones, are part of a text
_FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY", b"<!ELEMENT", b"<?xml-stylesheet")


def read_document(unverified_text: bytes, *, ignore_comments: bool = False) -> Element:
    """The root element; raises ValueError with the reason.

    Comments are refused: in a signed document they can split a text, because exclusive canonicalization removes them.
    With `ignore_comments` they are removed instead: documents that an administrator uploads may have them.
    """
    if b"\0" in unverified_text:
        raise ValueError("not UTF-8")
    for declaration in _FORBIDDEN:
        if declaration in unverified_text:
            raise ValueError(f"{declaration.decode()} is not accepted")
    try:
        root = etree.fromstring(unverified_text, parser(ignore_comments=ignore_comments))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ValueError(f"not XML: {error}") from None
    if root.getroottree().docinfo.internalDTD:
        raise ValueError("a document type is not accepted")
    _refuse_shape(root)
    return root


def parser(*, ignore_comments: bool = False) -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=ignore_comments,
    )


def _refuse_shape(root: Element) -> None:
    before = root.getprevious()
    if before is not None or root.getnext() is not None:
        raise ValueError("comments and processing instructions are not accepted")
    depth = 0
    count = 0
    for event, node in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event in ("comment", "pi"):
            raise ValueError("comments and processing instructions are not accepted")
        depth += 1 if event == "start" else -1
        count += event == "start"
        if depth > DEEPEST or count > MOST_ELEMENTS:
            raise ValueError("nested too deeply, or of too many elements")
        if not isinstance(node.tag, str):
            raise ValueError("entities are not accepted")


def text_of(element: Element | None) -> str:
    """A URI or base64 in a leaf, without XML's white space around it; empty where the element is missing.

    Raises ValueError.
    """
    return "" if element is None else value_of(element).strip(_WHITE_SPACE)


def value_of(element: Element) -> str:
    """The text of a leaf exactly as it is: `alice` and `alice ` are two subjects. Raises ValueError."""
    if len(element):
        raise ValueError(f"{etree.QName(element).localname} holds elements where a text is expected")
    return element.text or ""

"""Wrapping: the signed element is moved to where a verifier finds it by its ID, a forged one to where a reader looks.

Somorovsky and others, "On Breaking SAML: Be Whoever You Want to Be" (USENIX Security 2012), has the shapes.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element as Element

from broker.assertions.xml_documents import PROTOCOL, SAML, SIGNATURE

_ASSERTION, _SIGNATURE = f"{SAML}Assertion", f"{SIGNATURE}Signature"


@dataclass(frozen=True)
class Caught:
    """What an attacker has caught: a response whose assertion is signed, and one that is signed itself."""

    assertion_signed: Element
    response_signed: Element

    @property
    def signed(self) -> Element:
        """The signed assertion."""
        return deepcopy(self.assertion_signed.find(_ASSERTION))

    @property
    def bare(self) -> Element:
        """The signed assertion without its signature."""
        return without_signature(self.signed)

    @property
    def signature(self) -> Element:
        return deepcopy(self.signed.find(_SIGNATURE))

    def forged(self, identifier: str = "_forged") -> Element:
        """An assertion of the attacker's own, for another subject."""
        assertion = self.bare
        assertion.set("ID", identifier)
        assertion.find(f"{SAML}Subject/{SAML}NameID").text = "root"
        return assertion

    def response(self, *inside: Element) -> Element:
        """The response with `inside` in the place of its assertion."""
        response = deepcopy(self.assertion_signed)
        response.remove(response.find(_ASSERTION))
        response.extend(inside)
        return response


def without_signature(element: Element) -> Element:
    copy = deepcopy(element)
    copy.remove(copy.find(_SIGNATURE))
    return copy


def extensions(inside: Element) -> Element:
    holder = etree.Element(f"{PROTOCOL}Extensions")
    holder.append(inside)
    return holder


def _held_in_object(signature: Element, original: Element) -> Element:
    etree.SubElement(signature, f"{SIGNATURE}Object").append(original)
    return signature


def beside_in_front(caught: Caught) -> Element:
    return caught.response(caught.forged(), caught.signed)


def beside_behind(caught: Caught) -> Element:
    return caught.response(caught.signed, caught.forged())


def original_inside_the_forged_one(caught: Caught) -> Element:
    outer = caught.forged()
    outer.append(caught.signed)
    return caught.response(outer)


def original_in_the_forged_ones_signature(caught: Caught) -> Element:
    """The forged assertion has the signature; the original is in an Object inside it."""
    outer = caught.forged()
    outer.insert(1, _held_in_object(caught.signature, caught.bare))
    return caught.response(outer)


def same_id_twice(caught: Caught) -> Element:
    outer = caught.forged(caught.signed.get("ID"))
    outer.insert(1, caught.signature)
    return caught.response(extensions(caught.bare), outer)


def original_in_extensions(caught: Caught) -> Element:
    return caught.response(extensions(caught.signed), caught.forged())


def signed_response_inside_a_forged_one(caught: Caught) -> Element:
    outer = caught.response(caught.forged())
    outer.set("ID", "_outer")
    signature = deepcopy(caught.response_signed.find(_SIGNATURE))
    outer.insert(1, _held_in_object(signature, without_signature(caught.response_signed)))
    return outer


def signed_response_in_a_forged_one_with_its_id(caught: Caught) -> Element:
    outer = signed_response_inside_a_forged_one(caught)
    outer.set("ID", caught.response_signed.get("ID"))
    return outer


def forged_in_a_signed_assertions_advice(caught: Caught) -> Element:
    original = caught.signed
    etree.SubElement(original, f"{SAML}Advice").append(caught.forged())
    return caught.response(original)


def decoy_with_an_xml_id(caught: Caught) -> Element:
    """What is signed, under another name, with the ID that every XML parser knows."""
    outer = caught.forged(caught.signed.get("ID"))
    outer.insert(1, caught.signature)
    decoy = caught.bare
    decoy.tag = "decoy"
    decoy.set("{http://www.w3.org/XML/1998/namespace}id", decoy.get("ID"))
    return caught.response(extensions(decoy), outer)


# Wrapping -> the check that refuses it.
WRAPPINGS: dict[Callable[[Caught], Element], str] = {
    beside_in_front: "assertions",
    beside_behind: "assertions",
    original_inside_the_forged_one: "assertions",
    original_in_the_forged_ones_signature: "assertions",
    same_id_twice: "assertions",
    original_in_extensions: "assertions",
    signed_response_inside_a_forged_one: "signed element",
    signed_response_in_a_forged_one_with_its_id: "signature objects",
    forged_in_a_signed_assertions_advice: "assertions",
    decoy_with_an_xml_id: "signature",
}

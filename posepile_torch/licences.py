"""Licences of datasets as data: an identifier, what it permits, and the evidence for both.

A permission is ``True``, ``False`` or ``None``; ``None`` says that nobody has established it,
which is not the same as "no". Nothing here is legal advice: the evidence says where to read on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from posepile_torch.card_rules import Problem, is_web_address

UNKNOWN_ID = "LicenseRef-Unknown"
"""Identifier of data whose terms could not be found; all its permissions are None."""

_LICENSE_REF = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_CREATIVE_COMMONS = re.compile(
    r"CC-BY(?P<nc>-NC)?(?:-SA|(?P<nd>-ND))?-(?:1\.0|2\.0|2\.5|3\.0|4\.0)(?:-[A-Z]{2,3})?"
)


class Permissions(NamedTuple):
    """The three questions asked of every licence; None where nobody knows the answer.

    Attributes:
        commercial: Commercial use, training a product's model included.
        redistribution: Passing the unchanged data on.
        derivatives: Passing changed data on, for example stored crops.
    """

    commercial: bool | None
    redistribution: bool | None
    derivatives: bool | None


# fmt: off
_PERMISSIVE_OR_COPYLEFT = frozenset(
    {
        "0BSD", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "BSD-2-Clause",
        "BSD-3-Clause", "BSD-4-Clause", "C-UDA-1.0", "CC0-1.0", "CDLA-Permissive-1.0",
        "CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "GPL-2.0-only", "GPL-2.0-or-later",
        "GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LGPL-2.1-only", "LGPL-2.1-or-later",
        "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-2.0", "ODC-By-1.0",
        "ODbL-1.0", "PDDL-1.0", "Unlicense", "Zlib",
    }
)
# fmt: on


def spdx_permissions(identifier: str) -> Permissions | None:
    """Return what an SPDX licence permits, or None if ``identifier`` is not one known here.

    The Creative Commons family is recognised in all its versions; of the rest, those that
    datasets and their code use.
    """
    match = _CREATIVE_COMMONS.fullmatch(identifier)
    if match:
        return Permissions(not match["nc"], redistribution=True, derivatives=not match["nd"])
    return Permissions(True, True, True) if identifier in _PERMISSIVE_OR_COPYLEFT else None


@dataclass(frozen=True)
class Licence:
    """The terms of a dataset, and how we know them.

    Attributes:
        id: SPDX identifier, or ``LicenseRef-<Name>`` for terms of the dataset's own, or
            ``LicenseRef-Unknown``.
        commercial: Whether commercial use is permitted; None if unknown.
        redistribution: Whether the unchanged data may be passed on; None if unknown.
        derivatives: Whether changed data, stored crops included, may be passed on; None if
            unknown.
        evidence: Where this was read, and when: a person must be able to check it.
        url: Page with the terms; not needed for SPDX licences.
    """

    id: str
    commercial: bool | None
    redistribution: bool | None
    derivatives: bool | None
    evidence: str
    url: str | None = None

    @classmethod
    def spdx(cls, identifier: str, *, evidence: str, url: str | None = None) -> Licence:
        """Build a licence whose permissions follow from its SPDX identifier.

        An identifier that is not known gets no permissions and is refused by the card.
        """
        permissions = spdx_permissions(identifier) or Permissions(None, None, None)
        return cls(identifier, *permissions, evidence=evidence, url=url)

    @classmethod
    def unknown(cls, *, evidence: str, url: str | None = None) -> Licence:
        """Build the licence of data whose terms were looked for and not found."""
        return cls(UNKNOWN_ID, None, None, None, evidence=evidence, url=url)

    @property
    def permissions(self) -> Permissions:
        """The three permissions together."""
        return Permissions(self.commercial, self.redistribution, self.derivatives)

    @property
    def text_url(self) -> str | None:
        """Where the licence can be read: the given page, or that of the SPDX list."""
        if self.url is None and not self.id.startswith("LicenseRef-"):
            return f"https://spdx.org/licenses/{self.id}.html"
        return self.url

    def problems(self) -> Iterator[Problem]:
        """Yield every rule that this licence breaks; a card asks for them when it is made."""
        known = spdx_permissions(self.id)
        if known is None and not _LICENSE_REF.fullmatch(self.id):
            yield Problem(
                "id",
                f"{self.id!r} is neither a known SPDX identifier nor a LicenseRef",
                "a licence is an SPDX identifier, LicenseRef-<Name> or LicenseRef-Unknown",
                "copy the identifier from https://spdx.org/licenses, or use LicenseRef-<Name> "
                "with the permissions and the url of the terms",
            )
        if known is not None and known != self.permissions:
            yield Problem(
                "id",
                f"{tuple(self.permissions)} contradicts {self.id}, which gives {tuple(known)}",
                "the permissions of an SPDX licence follow from its identifier",
                "build it with Licence.spdx(...)",
            )
        if self.id == UNKNOWN_ID and set(self.permissions) != {None}:
            yield Problem(
                "id",
                f"unknown terms cannot give the permissions {tuple(self.permissions)}",
                f"all permissions of {UNKNOWN_ID} are None",
                "build it with Licence.unknown(...), or name the terms LicenseRef-<Name>",
            )
        if not self.evidence.strip():
            yield Problem(
                "evidence",
                "no evidence is given",
                "a licence says where it was read",
                "name the page, file or paper, and the date",
            )
        if self.text_url is None and self.id != UNKNOWN_ID:
            yield Problem(
                "url",
                f"{self.id} has no url",
                "terms outside the SPDX list have a page where they can be read",
                "add url=...",
            )
        if self.url is not None and not is_web_address(self.url):
            yield Problem(
                "url", f"{self.url!r} is no web address", "addresses are http(s)://", "correct it"
            )


__all__ = ["UNKNOWN_ID", "Licence", "Permissions", "spdx_permissions"]

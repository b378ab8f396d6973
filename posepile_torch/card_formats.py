"""A card written out for people and for machines: Markdown, BibTeX, JSON, Croissant.

All four say the same; what a card does not know is left out or said to be unknown, never guessed.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from posepile_torch.cards import Card, Split
from posepile_torch.citations import Citation, citation_of

CROISSANT_VERSION = "http://mlcommons.org/croissant/1.0"
"""The version of the Croissant specification that :func:`croissant` conforms to."""

# The terms of Croissant 1.0, as in appendix 1 of its specification, so that keys need no prefix.
_CROISSANT_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
} | {
    term: f"cr:{term}"
    for term in (
        *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileSet"),
        *("fileProperty", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5"),
        *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace"),
        *("samplingRate", "separator", "source", "subField", "transform"),
    )
}
_CROISSANT_SPLITS = {
    "train": "cr:TrainingSplit",
    "val": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}
_MEDIA_TYPES = {
    ".avi": "video/x-msvideo",
    ".bmp": "image/bmp",
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".tar": "application/x-tar",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain",
    ".webp": "image/webp",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
}


def as_json(card: Card) -> dict[str, Any]:
    """Return the card as JSON values, with its digest and its citation written out."""
    citation = citation_of(card)
    return {
        **card.to_dict(),
        "bibtex": citation.to_bibtex(),
        "reference": citation.to_text(),
        "digest": card.digest,
    }


def bibtex(card: Card) -> str:
    """Return the bibliography entry to cite."""
    return citation_of(card).to_bibtex()


def permission_text(permission: bool | None) -> str:
    """Say "yes", "no" or "unknown"."""
    return {True: "yes", False: "no", None: "unknown"}[permission]


def size_text(count: int | None, unit: str = "") -> str:
    """Write a count for people: ``1,530``, ``2.4 GB``, or ``unknown``."""
    if count is None:
        return "unknown"
    if unit != "B":
        return f"{count:,}{unit}"
    size = float(count)
    for prefix in ("", "k", "M", "G", "T", "P"):
        if size < 1000 or prefix == "P":
            break
        size /= 1000
    return f"{size:.3g} {prefix}B"


def split_text(split: Split) -> str:
    """Describe a split in one line."""
    parts = [
        f"{size_text(split.images)} images" if split.images is not None else "",
        f"{size_text(split.people)} people" if split.people is not None else "",
        "" if split.labelled else "labels withheld",
        split.note,
    ]
    return "; ".join(filter(None, parts)) or "counts unknown"


def convention_lines(card: Card) -> list[tuple[str, str]]:
    """Return the conventions of the raw annotation as pairs of a word and its meaning."""
    up = "none (2D data)" if card.world_up is None else str(tuple(card.world_up))
    note = f": {card.visibility_note}" if card.visibility_note else ""
    return [
        ("Unit of raw coordinates", card.units.value),
        ("World up", up),
        ("Visibility", f"{card.visibility.value}{note}"),
    ]


def licence_lines(card: Card) -> list[tuple[str, str]]:
    """Return the terms of the card as pairs of a word and its meaning."""
    licence = card.licence
    lines = [
        ("Identifier", licence.id),
        ("Commercial use", permission_text(licence.commercial)),
        ("Redistribution", permission_text(licence.redistribution)),
        ("Derivatives", permission_text(licence.derivatives)),
        ("Evidence", licence.evidence),
    ]
    return lines + ([("Text", licence.text_url)] if licence.text_url else [])


def hint_lines(card: Card) -> list[tuple[str, str]]:
    """Return what a loader is told as pairs of a word and its meaning."""
    hints = card.hints.to_dict()
    fixes = hints.pop("photometric")
    lines = [(name.replace("_", " "), permission_text(value)) for name, value in hints.items()]
    for fix in fixes:
        which = ", ".join(fix["sequences"]) or "all sequences"
        balance = fix["white_balance_ab"]
        text = f"gamma {fix['gamma']:g}" + (f", white balance {balance}" if balance else "")
        done = "already applied" if fix["already_applied"] else "to be applied by the loader"
        lines.append((f"colours of {which}", f"{text}; {done}"))
    return lines


def markdown(card: Card) -> str:
    """Write the card as a Markdown page."""
    citation = citation_of(card)
    sizes = card.sizes
    facts = [
        ("Name", f"`{card.name}`"),
        ("Tasks", ", ".join(card.tasks)),
        ("Homepage", f"<{card.homepage}>"),
        *([("Paper", f"<{card.paper}>")] if card.paper else []),
        *([("Release", card.release)] if card.release else []),
        ("Access", card.access.value),
        ("Raw size", size_text(sizes.raw_bytes, "B")),
        ("Archive size", size_text(sizes.archive_bytes, "B")),
        ("Subjects", size_text(sizes.subjects)),
        ("Sequences", size_text(sizes.sequences)),
        ("Cameras", size_text(sizes.cameras)),
    ]
    layout = [
        f"- `{raw.pattern}` ({raw.kind.value}{'' if raw.required else ', optional'})"
        + "".join(f": {text}" for text in (raw.note,) if text)
        + "".join(f" From: {text}" for text in (raw.origin,) if text)
        for raw in card.layout
    ]
    quirks = [f"- {quirk.text} ({quirk.where}; {quirk.source})" for quirk in card.quirks]
    steps = [f"{number}. {step}" for number, step in enumerate(card.download_steps, 1)]
    sections = [
        ("Licence", _bullets(licence_lines(card))),
        ("How to get it", steps or [f"Access: {card.access.value}."]),
        ("Raw files", layout),
        ("Splits", _bullets([(split.name, split_text(split)) for split in card.splits])),
        ("Conventions", _bullets(convention_lines(card))),
        ("Hints for loaders", _bullets(hint_lines(card))),
        ("Quirks", quirks or ["None known."]),
        ("Citation", [citation.to_text(), "", "```bibtex", citation.to_bibtex(), "```"]),
    ]
    lines = [f"# {card.title}", "", card.description, "", *_bullets(facts)]
    for title, body in sections:
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"


def _bullets(pairs: list[tuple[str, str]]) -> list[str]:
    return [f"- {word}: {meaning}" for word, meaning in pairs]


def croissant(card: Card) -> dict[str, Any]:
    """Describe the source in Croissant 1.0, the JSON-LD vocabulary of MLCommons.

    The raw files are ``FileSet`` objects relative to the folder of the download: the files behind
    forms and accounts have neither a stable address nor a published checksum, and none is made
    up.
    """
    citation = citation_of(card)
    steps = " ".join(card.download_steps)
    return {
        "@context": _CROISSANT_CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT_VERSION,
        "@id": card.name,
        "name": card.title,
        "alternateName": card.name,
        "description": card.description,
        "url": card.homepage,
        "license": _croissant_licence(card),
        "creator": [_croissant_creator(citation, name) for name in citation.authors],
        "datePublished": citation["year"],
        "citeAs": citation.to_bibtex(),
        "keywords": ["human pose estimation", *card.tasks],
        "conditionsOfAccess": f"{card.access.value}. {steps}".strip(),
        **({"version": card.release} if card.release else {}),
        **(
            {"subjectOf": {"@type": "sc:ScholarlyArticle", "url": card.paper}}
            if card.paper
            else {}
        ),
        "distribution": [_croissant_files(card, number) for number in range(len(card.layout))],
        "recordSet": [_croissant_splits(card)],
    }


def _croissant_licence(card: Card) -> str | dict[str, str]:
    if card.licence.text_url is not None:
        return card.licence.text_url
    return {
        "@type": "sc:CreativeWork",
        "name": card.licence.id,
        "description": card.licence.evidence,
    }


def _croissant_creator(citation: Citation, name: str) -> dict[str, str]:
    # BibTeX braces a name to keep it whole, which is how groups and companies are written.
    group = f"{{{name}}}" in citation["author"]
    return {"@type": "sc:Organization" if group else "sc:Person", "name": name}


def _croissant_files(card: Card, number: int) -> dict[str, Any]:
    raw = card.layout[number]
    suffix = PurePosixPath(raw.pattern).suffix.lower()
    notes = [f"{raw.kind.value}, {'required' if raw.required else 'optional'}", raw.note]
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{number}",
        "name": raw.pattern,
        "description": ". ".join(filter(None, [*notes, raw.origin])),
        "encodingFormat": _MEDIA_TYPES.get(suffix, "application/octet-stream"),
        "includes": raw.glob,
    }


def _croissant_splits(card: Card) -> dict[str, Any]:
    fields = [("name", "sc:Text"), ("url", "sc:URL"), ("description", "sc:Text")]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": f"splits/{name}", "name": name, "dataType": kind}
            for name, kind in fields
        ],
        "data": [
            {
                "splits/name": split.name,
                "splits/url": _CROISSANT_SPLITS[split.name],
                "splits/description": split_text(split),
            }
            for split in card.splits
        ],
    }


__all__ = [
    "CROISSANT_VERSION",
    "as_json",
    "bibtex",
    "convention_lines",
    "croissant",
    "hint_lines",
    "licence_lines",
    "markdown",
    "permission_text",
    "size_text",
    "split_text",
]

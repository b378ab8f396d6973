"""The documentation page of all registered protocols, written from the protocols themselves.

``python -m posepile_torch.evaluate.catalog > docs/protocols.md`` writes it anew.
"""

from __future__ import annotations

import sys
from itertools import groupby

from posepile_torch import registry
from posepile_torch.evaluate.protocol import MetricSpec, Protocol
from posepile_torch.evaluate.wording import frames_in_words, order_in_words, root_in_words

_HEAD = """\
# Protocols

Every protocol that comes with the library, by benchmark. `posepile eval explain NAME` prints the
same and more. A version is raised whenever a number could change. Why there are several per
benchmark is told in [why two papers' MPJPE differ](two-mpjpe.md).
"""


def protocols_page() -> str:
    """Return the page in Markdown: a section per benchmark, a part per protocol."""
    protocols = sorted(map(registry.load_protocol, registry.protocol_names()), key=_place)
    parts = [_HEAD]
    for benchmark, members in groupby(protocols, key=lambda protocol: protocol.benchmark):
        parts.append(f"## {benchmark}\n")
        parts += [_section(protocol) for protocol in members]
    return "\n".join(parts)


def _place(protocol: Protocol) -> tuple[str, str]:
    return protocol.benchmark, protocol.name


def _section(protocol: Protocol) -> str:
    lines = [f"### {protocol.name}\n", f"{protocol.title}. Version {protocol.version}.\n"]
    joints = protocol.joints or ()
    whole = len(joints) == len(protocol.named_skeleton)
    lines += [
        f"- joints: {'all ' if whole else ''}{len(joints)} of `{protocol.named_skeleton.name}`"
        + ("" if whole else f": {' '.join(joints)}"),
        f"- root: {root_in_words(protocol.root)}",
        f"- frames: {frames_in_words(protocol.frames)}",
    ]
    lines += [f"- {choice.topic}: {choice.value} ({choice.source})" for choice in protocol.choices]
    lines += [
        f"- the archive is converted with `{switch.name}={switch.value}`: {switch.why}"
        for switch in protocol.switches
    ]
    lines += ["", "| metric | unit | averaging | definition |", "| --- | --- | --- | --- |"]
    lines += [_row(protocol, metric) for metric in protocol.metrics]
    lines.append("")
    if protocol.comparable:
        lines.append("Comparable with:\n")
        for published in protocol.comparable:
            numbers = ", ".join(f"{name} {value:g}" for name, value in published.numbers.items())
            lines.append(f"- {published.system}: {numbers} ({published.source})")
        lines.append("")
    if protocol.not_comparable:
        lines.append("Not comparable with:\n")
        lines += [f"- {text}" for text in protocol.not_comparable]
        lines.append("")
    lines += [f"Note: {note}.\n" for note in protocol.notes]
    return _escaped("\n".join(lines))


def _row(protocol: Protocol, metric: MetricSpec) -> str:
    told = metric.about or f"`{metric.function}`"
    if metric.align != "none":
        told += f"; alignment: {metric.align}"
    return (
        f"| {metric.name} | {metric.unit or 'fraction'} | {order_in_words(metric, metric.order)} "
        f"| {told} |"
    )


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    sys.stdout.write(protocols_page())


__all__ = ["protocols_page"]

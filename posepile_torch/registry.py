"""From a name to its source, its converter or its protocol, built in or installed as a plugin.

Every entry, built in or not, is a name and a target ``module:attribute``. The attribute is the
Dataset class of a source, the class of a converter, or a protocol object. Names are what users
type; where one is no identifier its module is spelled out (``3dpw`` lives in ``threedpw``).

Anyone can add entries by entry points of their own distribution, in the groups
``posepile_torch.sources``, ``posepile_torch.converters`` and ``posepile_torch.benchmarks``. Names
can be listed without importing anything; a plugin that is broken, or that claims a name which is
taken, is an error only for those who ask for that name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

from posepile_torch.cards import Card
from posepile_torch.errors import MissingDependencyError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from posepile_torch.convert import Converter
    from posepile_torch.sources import Source

DISTRIBUTION = "posepile-torch"
"""Name under which the library itself is installed."""

_SOURCES = {
    "3dpw": "posepile_torch.sources.threedpw:ThreeDPW",
    "aspset": "posepile_torch.sources.aspset:Aspset",
    "coco": "posepile_torch.sources.coco:Coco",
    "coco-wholebody": "posepile_torch.sources.coco:CocoWholeBody",
    "h36m": "posepile_torch.sources.h36m:Human36M",
    "mannequin": "posepile_torch.sources.mannequin:Mannequin",
}
_CONVERTERS = {
    "3dpw": "posepile_torch.converters.threedpw:ThreeDPWConverter",
    "aspset": "posepile_torch.converters.aspset:AspsetConverter",
    "coco": "posepile_torch.converters.coco:CocoConverter",
    "coco-wholebody": "posepile_torch.converters.coco:CocoWholeBodyConverter",
    "h36m": "posepile_torch.converters.h36m:Human36MConverter",
    "mannequin": "posepile_torch.converters.mannequin:MannequinConverter",
}
_PROTOCOLS: dict[str, str] = {
    "3dhp/metric": "posepile_torch.benchmarks.threedhp:METRIC",
    "3dhp/metric-pa": "posepile_torch.benchmarks.threedhp:METRIC_PA",
    "3dhp/official-univ": "posepile_torch.benchmarks.threedhp:OFFICIAL_UNIV",
    "3dhp/official-univ-pa": "posepile_torch.benchmarks.threedhp:OFFICIAL_UNIV_PA",
    "3dhp/wacv23": "posepile_torch.benchmarks.threedhp:WACV23",
    "3dhp/wacv23-outdoor": "posepile_torch.benchmarks.threedhp:WACV23_OUTDOOR",
    "3doh/test": "posepile_torch.benchmarks.threedoh:TEST",
    "3dpw/14lsp-midhip": "posepile_torch.benchmarks.threedpw:LSP14_MIDHIP",
    "3dpw/14lsp-midhip-mesh": "posepile_torch.benchmarks.threedpw:LSP14_MIDHIP_MESH",
    "3dpw/14lsp-pelvis": "posepile_torch.benchmarks.threedpw:LSP14_PELVIS",
    "3dpw/24j-all": "posepile_torch.benchmarks.threedpw:JOINTS24_ALL",
    "3dpw/24j-test": "posepile_torch.benchmarks.threedpw:JOINTS24_TEST",
    "3dpw/challenge": "posepile_torch.benchmarks.threedpw:CHALLENGE",
    "3dpw/smpl24": "posepile_torch.benchmarks.threedpw:SMPL24",
    "3dpw/smpl24-all": "posepile_torch.benchmarks.threedpw:SMPL24_ALL",
    "3dpw/smpl24-midhip": "posepile_torch.benchmarks.threedpw:SMPL24_MIDHIP",
    "agora/smpl": "posepile_torch.benchmarks.agora:SMPL",
    "agora/smpl-tool": "posepile_torch.benchmarks.agora:SMPL_TOOL",
    "agora/smplx-joints": "posepile_torch.benchmarks.agora:SMPLX",
    "aic/oks": "posepile_torch.benchmarks.oks:AIC",
    "aspset/test": "posepile_torch.benchmarks.aspset:TEST",
    "aspset/universal-scale": "posepile_torch.benchmarks.aspset:UNIVERSAL",
    "coco-wholebody/face-crops": "posepile_torch.benchmarks.jhmdb:FACE",
    "coco-wholebody/hand-crops": "posepile_torch.benchmarks.jhmdb:HAND",
    "coco-wholebody/oks": "posepile_torch.benchmarks.oks:WHOLEBODY",
    "coco/oks": "posepile_torch.benchmarks.oks:COCO",
    "crowdpose/oks": "posepile_torch.benchmarks.oks:CROWDPOSE",
    "ehf/pa-mpjpe": "posepile_torch.benchmarks.ehf:PA_MPJPE",
    "ehf/pa-v2v": "posepile_torch.benchmarks.ehf:PA_V2V",
    "ehf/pve": "posepile_torch.benchmarks.ehf:PVE",
    "ehf/rigid": "posepile_torch.benchmarks.ehf:RIGID",
    "emdb1": "posepile_torch.benchmarks.emdb:EMDB1",
    "emdb2": "posepile_torch.benchmarks.emdb:EMDB2",
    "emdb2/camera": "posepile_torch.benchmarks.emdb:EMDB2_CAMERA",
    "flic/pck-torso": "posepile_torch.benchmarks.lsp:FLIC",
    "h36m/cps-canonpose": "posepile_torch.benchmarks.h36m:CPS_CANONPOSE",
    "h36m/cps-wehrbein": "posepile_torch.benchmarks.h36m:CPS_WEHRBEIN",
    "h36m/image-p1-step64": "posepile_torch.benchmarks.h36m:IMAGE_P1",
    "h36m/image-p2-step64": "posepile_torch.benchmarks.h36m:IMAGE_P2",
    "h36m/lifting-p1": "posepile_torch.benchmarks.h36m:LIFTING_P1",
    "h36m/lifting-p1-mmpose": "posepile_torch.benchmarks.h36m:LIFTING_P1_MMPOSE",
    "h36m/lifting-p2": "posepile_torch.benchmarks.h36m:LIFTING_P2",
    "h36m/lifting-p3": "posepile_torch.benchmarks.h36m:LIFTING_P3",
    "h36m/lifting-velocity": "posepile_torch.benchmarks.h36m:LIFTING_VELOCITY",
    "h36m/mesh-p1": "posepile_torch.benchmarks.h36m:MESH_P1",
    "h36m/mesh-p2": "posepile_torch.benchmarks.h36m:MESH_P2",
    "h36m/metrabs-training": "posepile_torch.benchmarks.h36m:METRABS_TRAINING",
    "h36m/wacv23": "posepile_torch.benchmarks.h36m:WACV23",
    "h36m/wacv23-s9-corrected": "posepile_torch.benchmarks.h36m:WACV23_CORRECTED",
    "halpe/oks": "posepile_torch.benchmarks.oks:HALPE",
    "human-art/oks": "posepile_torch.benchmarks.oks:HUMAN_ART",
    "jhmdb/pck": "posepile_torch.benchmarks.jhmdb:JHMDB",
    "lsp/pck-torso": "posepile_torch.benchmarks.lsp:LSP",
    "mannequin/mpjpe": "posepile_torch.benchmarks.mannequin:MPJPE",
    "mpii/pckh": "posepile_torch.benchmarks.mpii:PCKH",
    "mpii/pckh-mmpose": "posepile_torch.benchmarks.mpii:PCKH_MMPOSE",
    "mupots/all-metric": "posepile_torch.benchmarks.mupots:ALL_METRIC",
    "mupots/all-metric-rescaled": "posepile_torch.benchmarks.mupots:ALL_METRIC_RESCALED",
    "mupots/all-univ": "posepile_torch.benchmarks.mupots:ALL_UNIV",
    "mupots/all-univ-rescaled": "posepile_torch.benchmarks.mupots:ALL_UNIV_RESCALED",
    "mupots/detected": "posepile_torch.benchmarks.mupots:DETECTED",
    "mupots/wacv23": "posepile_torch.benchmarks.mupots:WACV23",
    "ochuman/oks": "posepile_torch.benchmarks.oks:OCHUMAN",
    "posetrack17": "posepile_torch.benchmarks.posetrack:AP17",
    "posetrack17/tracking": "posepile_torch.benchmarks.posetrack:TRACKING17",
    "posetrack18": "posepile_torch.benchmarks.posetrack:AP18",
    "posetrack18/tracking": "posepile_torch.benchmarks.posetrack:TRACKING18",
    "rich/wham": "posepile_torch.benchmarks.emdb:RICH",
    "ssp3d/shape": "posepile_torch.benchmarks.ssp3d:SHAPE",
    "ssp3d/silhouette": "posepile_torch.benchmarks.ssp3d:SILHOUETTE",
}


@dataclass(frozen=True)
class Entry:
    """Where a name leads.

    Attributes:
        name: What users type.
        target: ``module:attribute``.
        distribution: The installed distribution that declares it.
    """

    name: str
    target: str
    distribution: str


@dataclass(frozen=True)
class _Kind:
    word: str
    group: str
    builtin: dict[str, str]
    flaw: Callable[[str, Any], str | None]  # what is wrong with the loaded object, if anything


def _flaw_of_source(name: str, loaded: Any) -> str | None:
    card = getattr(loaded, "card", None)
    if not isinstance(loaded, type) or not isinstance(card, Card):
        return "it is no Dataset class with a card"
    if not hasattr(getattr(loaded, "native", None), "joints"):
        return "it has no native skeleton"
    return None if card.name == name else f"its card is named {card.name!r}"


def _flaw_of_converter(name: str, loaded: Any) -> str | None:
    if not isinstance(loaded, type) or not all(
        callable(getattr(loaded, method, None)) for method in ("units", "frames")
    ):
        return "it is no class with the methods units and frames"
    flaw = _flaw_of_source(name, getattr(loaded, "source", None))
    return None if flaw is None else f"its source does not fit: {flaw}"


def _flaw_of_protocol(name: str, loaded: Any) -> str | None:
    own = getattr(loaded, "name", None)
    return None if own == name else f"it is named {own!r}"


_SOURCE = _Kind("source", "posepile_torch.sources", _SOURCES, _flaw_of_source)
_CONVERTER = _Kind("converter", "posepile_torch.converters", _CONVERTERS, _flaw_of_converter)
_PROTOCOL = _Kind("protocol", "posepile_torch.benchmarks", _PROTOCOLS, _flaw_of_protocol)


def source_names() -> tuple[str, ...]:
    """Return the names of all sources, sorted, without importing any."""
    return tuple(sorted(_entries(_SOURCE)))


def converter_names() -> tuple[str, ...]:
    """Return the names of all sources that have a converter, sorted, without importing any."""
    return tuple(sorted(_entries(_CONVERTER)))


def protocol_names() -> tuple[str, ...]:
    """Return the names of all evaluation protocols, sorted, without importing any."""
    return tuple(sorted(_entries(_PROTOCOL)))


def source_entry(name: str) -> Entry:
    """Return where the source ``name`` comes from, without importing it.

    Raises:
        UnknownNameError: If there is no such source; near misses are listed.
        PluginError: If two distributions claim the name.
    """
    return _entry(_SOURCE, name)


def load_source(name: str) -> type[Source[Any]]:
    """Import and return the Dataset class of a source, for example by ``"mannequin"``.

    Raises:
        UnknownNameError: If there is no such source; near misses are listed.
        PluginError: If it comes from a plugin that is broken, or two distributions claim it.
    """
    return cast("type[Source[Any]]", _load(_SOURCE, name))


def load_converter(name: str) -> type[Converter]:
    """Import and return the converter class of a source.

    Raises:
        UnknownNameError: If the source has no converter; near misses are listed.
        PluginError: If it comes from a plugin that is broken, or two distributions claim it.
        MissingDependencyError: If a reader that it needs is not installed.
    """
    return cast("type[Converter]", _load(_CONVERTER, name))


def load_protocol(name: str) -> Any:
    """Import and return an evaluation protocol.

    Raises:
        UnknownNameError: If there is no such protocol; near misses are listed.
        PluginError: If it comes from a plugin that is broken, or two distributions claim it.
    """
    return _load(_PROTOCOL, name)


def _entries(kind: _Kind) -> dict[str, list[Entry]]:
    """All entries of a kind by name; more than one under a name is a conflict."""
    found = {name: [Entry(name, target, DISTRIBUTION)] for name, target in kind.builtin.items()}
    for point in metadata.entry_points(group=kind.group):
        distribution = point.dist.name if point.dist is not None else "an unknown distribution"
        entry = Entry(point.name, point.value, distribution)
        if entry not in found.setdefault(point.name, []):
            found[point.name].append(entry)
    return found


def _entry(kind: _Kind, name: str) -> Entry:
    entries = _entries(kind)
    if name not in entries:
        raise UnknownNameError.among(kind.word, name, entries)
    first, *others = entries[name]
    if others:
        claims = ", ".join(f"{entry.distribution} ({entry.target})" for entry in entries[name])
        raise PluginError(
            f"the {kind.word} {name!r} is declared more than once",
            where=claims,
            rule=f"a name in the group {kind.group} belongs to one distribution",
            fix=f"uninstall one of them, or have {others[-1].distribution} choose another name",
        )
    return first


def _load(kind: _Kind, name: str) -> Any:
    entry = _entry(kind, name)
    module, _, attribute = entry.target.partition(":")
    if entry.distribution == DISTRIBUTION:
        # What goes wrong here is a bug of ours or a missing extra; both speak for themselves.
        return getattr(importlib.import_module(module), attribute)
    try:
        loaded = importlib.import_module(module.strip())
        for part in filter(None, attribute.strip().split(".")):
            loaded = getattr(loaded, part)
    except MissingDependencyError:
        raise
    except Exception as error:
        raise _broken(kind, entry, f"{type(error).__name__}: {error}") from error
    flaw = kind.flaw(name, loaded)
    if flaw is not None:
        raise _broken(kind, entry, flaw)
    return loaded


def _broken(kind: _Kind, entry: Entry, reason: str) -> PluginError:
    return PluginError(
        f"the {kind.word} {entry.name!r} cannot be loaded: {reason}",
        where=f"{entry.target} of the distribution {entry.distribution!r}",
        rule=f"an entry point in {kind.group} leads to a {kind.word} of the same name",
        fix=f"upgrade or uninstall {entry.distribution}; everything else works without it",
    )


__all__ = [
    "DISTRIBUTION",
    "Entry",
    "converter_names",
    "load_converter",
    "load_protocol",
    "load_source",
    "protocol_names",
    "source_entry",
    "source_names",
]

"""Safe readers for the raw formats of datasets; the one home of them for all converters.

Every reader first looks at what lies there, so that an unfinished download, a git-lfs pointer or
a login page is called by its name. Damage, truncation and anything that asks for more than data
end in one clear error with the file, the place and the remedy. Values come in the file's own
units and axes unless a reader says otherwise. Functions named ``read_*`` and ``iter_*`` touch the
disk, ``parse_*`` take bytes.
"""

from posepile_torch.rawfiles.arrays import list_npz, parse_npy, read_npy, read_npz
from posepile_torch.rawfiles.c3d import C3D, parse_c3d, read_c3d
from posepile_torch.rawfiles.cdf import read_cdf
from posepile_torch.rawfiles.extract import (
    Extraction,
    decompress_file,
    extract_barecat,
    extract_tar,
    extract_zip,
)
from posepile_torch.rawfiles.hdf5 import Hdf5File
from posepile_torch.rawfiles.json_file import parse_json, read_json
from posepile_torch.rawfiles.json_stream import (
    iter_json_array,
    iter_json_arrays,
    iter_json_object,
)
from posepile_torch.rawfiles.mat import iter_mat_cells, list_mat, mat_list, read_mat
from posepile_torch.rawfiles.mat_v5 import MatVariable
from posepile_torch.rawfiles.members import DEFAULT_LIMITS, ExtractionLimits, safe_member_name
from posepile_torch.rawfiles.pickle_machine import Shell
from posepile_torch.rawfiles.pickle_pandas import ColumnTable
from posepile_torch.rawfiles.pickles import (
    PICKLE_PROFILES,
    PickleProfile,
    iter_pickles,
    parse_pickle,
    read_pickle,
)
from posepile_torch.rawfiles.sniff import CheckedFile, check_file, read_bytes
from posepile_torch.rawfiles.tars import iter_tar_members
from posepile_torch.rawfiles.text import read_csv, read_numbers, read_text, read_xml
from posepile_torch.rawfiles.video import Video, iter_video_frames, open_video
from posepile_torch.rawfiles.zips import ZipMember, ZipReader, iter_zip_members, read_zip_member

__all__ = [
    "C3D",
    "DEFAULT_LIMITS",
    "PICKLE_PROFILES",
    "CheckedFile",
    "ColumnTable",
    "Extraction",
    "ExtractionLimits",
    "Hdf5File",
    "MatVariable",
    "PickleProfile",
    "Shell",
    "Video",
    "ZipMember",
    "ZipReader",
    "check_file",
    "decompress_file",
    "extract_barecat",
    "extract_tar",
    "extract_zip",
    "iter_json_array",
    "iter_json_arrays",
    "iter_json_object",
    "iter_mat_cells",
    "iter_pickles",
    "iter_tar_members",
    "iter_video_frames",
    "iter_zip_members",
    "list_mat",
    "list_npz",
    "mat_list",
    "open_video",
    "parse_c3d",
    "parse_json",
    "parse_npy",
    "parse_pickle",
    "read_bytes",
    "read_c3d",
    "read_cdf",
    "read_csv",
    "read_json",
    "read_mat",
    "read_npy",
    "read_npz",
    "read_numbers",
    "read_pickle",
    "read_text",
    "read_xml",
    "read_zip_member",
    "safe_member_name",
]

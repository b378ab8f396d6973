"""Video frames by their order of presentation, and videos that are not whole."""

from __future__ import annotations

import pickle
import struct

import av
import numpy as np
import pytest
from rawfile_toys import frame_number, write_video

from posepile_torch.errors import RawFileError, UnreadableRawFileError
from posepile_torch.rawfiles import Video, iter_video_frames, open_video
from posepile_torch.rawfiles.containers import declared_bytes

FILES = [
    ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("b.avi", "mjpeg"),
    ("c.avi", "rawvideo"), ("a.webm", "libvpx"), ("a.mov", "mpeg4"),
]  # fmt: skip
FRAMES = 12


@pytest.mark.parametrize(("name", "codec"), FILES)
def test_frames_of_every_container(tmp_path, name, codec):
    path = tmp_path / name
    write_video(path, FRAMES, codec=codec, bit_rate=2_000_000)
    video = Video(path)
    assert video.size == (64, 48)
    assert video.frame_count == FRAMES
    assert video.fps == pytest.approx(25)
    assert video.nominal_fps == 25
    assert not video.is_variable_rate
    assert video.rotation_deg == 0
    assert video.declared_frame_count in (None, FRAMES)
    np.testing.assert_allclose(video.timestamps_s, np.arange(FRAMES) / 25, atol=1e-3)
    found = list(video.iter_frames())
    assert [index for index, _ in found] == list(range(FRAMES))
    assert [frame_number(pixels) for _, pixels in found] == list(range(FRAMES))
    assert all(p.shape == (48, 64, 3) and p.dtype == np.uint8 for _, p in found)
    assert declared_bytes(path) in (None, path.stat().st_size)


def test_selected_frames_are_the_same_pixels(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, FRAMES)
    everything = dict(Video(path).iter_frames())
    for indices in ([0], [11], [2, 3, 7], range(1, 12, 5), np.array([4, 10])):
        found = dict(iter_video_frames(path, indices, threads=2))
        assert list(found) == list(indices)
        for index, pixels in found.items():
            np.testing.assert_array_equal(pixels, everything[index])
    assert list(Video(path).iter_frames([])) == []
    np.testing.assert_array_equal(open_video(path).read_frame(5), everything[5])


@pytest.mark.parametrize("indices", [[3, 3], [4, 2], [-1, 2], [0, 12], [99]])
def test_bad_indices(tmp_path, indices):
    path = tmp_path / "a.mp4"
    write_video(path, FRAMES)
    with pytest.raises(RawFileError, match=r"rise strictly|the video has 12 frames"):
        next(Video(path).iter_frames(indices))


def test_instances_travel_to_other_processes(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, FRAMES)
    video = Video(path, threads=1)
    assert video.frame_count == FRAMES
    copy = pickle.loads(pickle.dumps(video))
    assert "_scan" not in copy.__dict__
    assert frame_number(copy.read_frame(7)) == 7


# ---- fault 72 ----------------------------------------------------------------------------

TIMES_MS = [0, 40, 80, 200, 240, 280, 500, 540, 580, 1000, 1040, 1080]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"], ids=lambda n: f"fault-72 variable rate {n}")
def test_variable_rate_counts_frames_not_time(tmp_path, name):
    path = tmp_path / name
    write_video(path, FRAMES, times_ms=TIMES_MS)
    video = Video(path)
    assert video.frame_count == FRAMES
    assert video.is_variable_rate
    assert video.fps == pytest.approx(11 / 1.08, rel=0.02)
    assert [frame_number(p) for _, p in video.iter_frames()] == list(range(FRAMES))
    assert [frame_number(p) for _, p in video.iter_frames([3, 9])] == [3, 9]
    wanted = [-5.0, 0.0, 0.041, 0.19, 0.21, 0.9, 99.0]
    assert video.indices_at(wanted).tolist() == [0, 0, 1, 2, 3, 8, 11]


def test_resampling_to_another_rate(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, FRAMES)
    indices = Video(path).indices_at(np.arange(10) / 50)
    assert indices.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert Video(path).indices_at(np.arange(4) * 3 / 25).tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("hidden", [4], ids=["fault-72 edit list"])
def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path, hidden):
    path = tmp_path / "a.mp4"
    write_video(path, FRAMES)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # behind version and count: duration, start, rate
    duration, start = struct.unpack_from(">Ii", data, at)
    struct.pack_into(">Ii", data, at, duration * (FRAMES - hidden) // FRAMES, start + hidden * 512)
    path.write_bytes(data)
    video = Video(path)
    assert video.frame_count == FRAMES - hidden
    assert video.declared_frame_count == FRAMES
    assert [frame_number(p) for _, p in video.iter_frames()] == list(range(hidden, FRAMES))
    assert frame_number(video.read_frame(0)) == hidden


@pytest.mark.parametrize("declared", [5, 40], ids=lambda n: f"fault-72 header says {n}")
def test_declared_number_of_frames_is_not_believed(tmp_path, declared):
    path = tmp_path / "a.avi"
    write_video(path, FRAMES, codec="mjpeg")
    data = bytearray(path.read_bytes())
    for tag, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):  # total frames, stream length
        struct.pack_into("<I", data, data.index(tag) + offset, declared)
    path.write_bytes(data)
    video = Video(path)
    assert video.declared_frame_count == declared
    assert video.frame_count == FRAMES
    assert len(list(video.iter_frames())) == FRAMES


@pytest.mark.parametrize("rotation_deg", [90, -90, 180], ids=lambda r: f"fault-72 rotation {r}")
def test_rotation_is_applied_or_reported(tmp_path, rotation_deg):
    path = tmp_path / "a.mp4"
    write_video(path, 3, rotation_deg=rotation_deg)
    stored = Video(path, apply_rotation=False)
    upright = Video(path)
    assert stored.rotation_deg == upright.rotation_deg == rotation_deg % 360
    assert stored.size == (64, 48)
    assert upright.size == ((64, 48) if rotation_deg == 180 else (48, 64))
    expected = np.rot90(stored.read_frame(1), rotation_deg // 90)
    np.testing.assert_array_equal(upright.read_frame(1), expected)
    corner = {90: np.s_[-4:, :4], -90: np.s_[:4, -4:], 180: np.s_[-4:, -4:]}[rotation_deg]
    assert upright.read_frame(1)[corner].min() > 240  # the white mark was at the upper left


def test_rotation_as_opencv_shows_it(tmp_path):
    import cv2

    for rotation_deg in (90, -90, 180):
        path = tmp_path / f"{rotation_deg}.mp4"
        write_video(path, 2, rotation_deg=rotation_deg)
        capture = cv2.VideoCapture(str(path))
        _, other = capture.read()
        capture.release()
        ours = Video(path).read_frame(0)
        assert ours.shape == other.shape
        assert np.abs(ours.astype(int) - other[..., ::-1]).mean() < 3


CUT = [
    ("a.mp4", "libx264", False), ("fast.mp4", "libx264", True), ("a.mkv", "libx264", False),
    ("b.avi", "mjpeg", False), ("c.avi", "rawvideo", False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "codec", "faststart"), CUT, ids=lambda value: f"fault-72 {value}"
)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.85])
def test_cut_video_says_how_many_frames_came(tmp_path, name, codec, faststart, share):
    path = tmp_path / name
    write_video(path, 28, codec=codec, faststart=faststart, size=(160, 120))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableRawFileError, match=r"\d+( of 28)? frames came") as c:
        list(Video(path).iter_frames())
    assert c.value.where == str(path)
    assert "again" in c.value.fix


@pytest.mark.parametrize(
    "name", ["b.avi", "fast.mov"], ids=lambda name: f"fault-72 lenient {name}"
)
def test_what_came_can_be_used_on_request(tmp_path, name):
    path = tmp_path / name
    write_video(path, 28, codec="mjpeg", faststart="mov" in name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.8)])
    with pytest.raises(UnreadableRawFileError, match=r"bytes are missing"):
        _ = Video(path).frame_count
    found = [(i, frame_number(p)) for i, p in Video(path, strict=False).iter_frames()]
    assert 5 < len(found) < 28
    assert all(index == number for index, number in found[:-1])


@pytest.mark.parametrize("damage", ["zeroed", "flipped"], ids=lambda d: f"fault-72 {d} frame")
def test_frame_that_cannot_be_decoded_keeps_the_others_indices(tmp_path, damage):
    path = tmp_path / "a.avi"
    write_video(path, FRAMES, codec="mjpeg")
    data = bytearray(path.read_bytes())
    starts = []
    while (at := data.find(b"\xff\xd8\xff", starts[-1] + 3 if starts else 0)) >= 0:
        starts.append(at)
    assert len(starts) == FRAMES
    data[starts[5] : starts[6] - 8] = bytes(starts[6] - 8 - starts[5])
    path.write_bytes(data)
    with pytest.raises(UnreadableRawFileError, match=r"5 frames"):
        list(Video(path).iter_frames())
    found = dict(Video(path, strict=False).iter_frames())
    assert sorted(set(range(FRAMES)) - set(found)) == [5]
    assert {frame_number(p) - i for i, p in found.items()} == {0}
    assert [i for i, _ in Video(path).iter_frames([1, 4])] == [1, 4]


def test_index_that_is_cut_off_costs_no_frame(tmp_path):
    path = tmp_path / "b.avi"
    write_video(path, FRAMES, codec="mjpeg")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"idx1")])
    assert len(list(Video(path).iter_frames())) == FRAMES


def test_index_by_order(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, FRAMES, times_ms=TIMES_MS)
    video = Video(path, index_by="order")
    assert [frame_number(p) for _, p in video.iter_frames([3, 9])] == [3, 9]
    np.testing.assert_allclose(video.timestamps_s, np.arange(FRAMES) / 25)


# ---- what is no video --------------------------------------------------------------------


def test_playlists_are_not_followed(tmp_path):
    write_video(tmp_path / "a.mp4", 3)
    for name, text in {
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "b.txt": "ffconcat version 1.0\nfile {}\n",
        "c.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }.items():
        path = tmp_path / name
        path.write_text(text.format(tmp_path / "a.mp4"))
        with pytest.raises(UnreadableRawFileError, match="cannot be opened"):
            _ = Video(path).size


def test_file_without_video(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UnreadableRawFileError, match="has 0 video streams"):
        _ = Video(path).size
    write_video(tmp_path / "a.mp4", 3)
    with pytest.raises(UnreadableRawFileError, match="1 video streams, number 1"):
        _ = Video(tmp_path / "a.mp4", stream=1).size


def test_noise(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(UnreadableRawFileError, match="0 frames came"):
        _ = Video(path).frame_count

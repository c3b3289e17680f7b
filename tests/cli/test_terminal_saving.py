"""``--save DIR``: what is no text goes into new files, under names that a server cannot choose freely."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House, furnished
from hypothesis import example, given
from hypothesis import strategies as st

from mcpvault.cli.saving import Folder
from mcpvault.testing.interactive import GALLERY

NASTY = ["../../evil", "/etc/passwd", "..", ".bashrc", "a/../../b.png", "x\0y", "con\n.sh", "%2e%2e%2f%2e%2eup", "-rf"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home whose server answers with every kind of content."""
    with furnished(tmp_path, interactive=True) as made:
        yield made


def saved(folder: Path) -> dict[str, bytes]:
    """Return the files below *folder*."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_images_audio_and_blobs_become_files(house: House) -> None:
    """Each is a file of its own with a fitting name; text stays on stdout, and stderr names the files."""
    done = house.run("call", "demo", "gallery", "--save", "out")

    files = saved(house.home / "out")
    assert ["gallery-audio.wav", "gallery-image.png", "plan.bin"] == sorted(files)
    assert base64.b64decode(GALLERY[1]["data"]) == files["gallery-image.png"]
    assert b"\x00\xff\x80\x7f" == files["plan.bin"]
    assert "saved out/gallery-image.png (image/png, 70 bytes)\n" == done.stderr.splitlines(keepends=True)[0]
    assert done.stdout.startswith("# Gallery\n")


def test_nothing_is_overwritten(house: House) -> None:
    """A name that is taken gets a number; what a link of that name points to is left alone as well."""
    out = house.home / "out"
    out.mkdir()
    (out / "plan.bin").write_bytes(b"mine")
    (out / "gallery-image.png").symlink_to(house.home / "elsewhere")

    house.run("call", "demo", "gallery", "--save", "out")

    assert (b"mine", False) == ((out / "plan.bin").read_bytes(), (house.home / "elsewhere").exists())
    assert {"plan-2.bin", "gallery-image-2.png"} <= {*saved(out)}


def test_as_json_the_files_are_named(house: House) -> None:
    """``--json`` prints the whole result with ``savedTo`` where the data was."""
    told = json.loads(house.run("call", "demo", "gallery", "--save", "out", "--json").stdout)

    assert {"type": "image", "mimeType": "image/png", "savedTo": "out/gallery-image.png"} == told["content"][1]
    assert "out/plan.bin" == told["content"][3]["resource"]["savedTo"]


def test_a_resource_is_saved(house: House) -> None:
    """``resources NAME URI --save`` keeps text and blobs under the last step of their address."""
    house.run("resources", "demo", "fake://text/greeting", "--save", "out")
    told = json.loads(house.run("resources", "demo", "fake://blob/pixel", "--save", "out", "--json").stdout)

    assert ["greeting.txt", "pixel.bin"] == sorted(saved(house.home / "out"))
    assert ["out/pixel.bin"] == [part["savedTo"] for part in told["contents"]]


def test_a_folder_that_cannot_be_used_is_a_usage_error(house: House) -> None:
    """A file in the place of the folder is told before anything is called."""
    (house.home / "out").write_text("")

    assert "out: is no folder" in house.run("call", "demo", "gallery", "--save", "out", code=2).stderr
    assert [] == house.server.called("tools/call")


def test_content_that_is_no_base64_saves_nothing(house: House) -> None:
    """A block that does not hold what it says is the server's error, and no other block is saved either."""
    broken = [GALLERY[1], {"type": "audio", "mimeType": "audio/wav", "data": "!!"}]
    house.server.offer.gallery = broken  # type: ignore[attr-defined]

    assert "not base64" in house.run("call", "demo", "gallery", "--save", "out", code=5).stderr
    assert not (house.home / "out").exists()


names = st.one_of(st.text(), st.sampled_from(NASTY), st.lists(st.sampled_from(NASTY)).map("/".join))
blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("image"), "data": st.just("AAAA"), "mimeType": names}),
    names.map(lambda uri: {"type": "resource", "resource": {"uri": f"file:///{uri}", "blob": "AAAA"}}),
    names.map(lambda uri: {"type": "resource", "resource": {"uri": uri, "mimeType": "text/html", "blob": "AAAA"}}),
)


@given(content=st.lists(blocks, min_size=1, max_size=3), tool=names)
@example(content=[{"type": "resource", "resource": {"uri": f"x:/{name}", "blob": "AAAA"}} for name in NASTY], tool="..")
def test_no_name_leaves_the_folder(content: list[dict[str, Any]], tool: str) -> None:
    """Whatever tools and addresses are called, every file is a plain, visible one directly in the folder."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "out"
        kept = Folder(str(folder)).keep(content, tool)

        assert [folder] == [*Path(place).iterdir()]
        files = saved(folder)
        assert len(content) == len(files) == len(kept)
        assert [] == [name for name in files if "/" in name or name.startswith((".", "-")) or not name.isprintable()]

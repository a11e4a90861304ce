"""The script of the generated images: a folder of one's own, the images that are installed, and what it refuses."""

import numpy as np
import pytest
from PIL import Image

from reproduce.faces import main, read_images


def folder(tmp_path, sizes):
    random = np.random.default_rng(0)
    for i, size in enumerate(sizes):
        Image.fromarray(random.integers(0, 255, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    return tmp_path


def test_a_folder_of_images(tmp_path, capsys):
    images = folder(tmp_path, [(6, 5)] * 15)
    assert read_images(images, 12).shape == (12, 6, 5, 3)
    assert main([str(images), "--output", str(tmp_path / "out.png")]) == 0
    out = capsys.readouterr().out
    assert "15 images of 90 numbers" in out
    for line in out.splitlines():
        if line.startswith("rank"):
            words = line.replace(",", "").split()
            assert words[words.index("beta_d") + 2] == words[words.index("covariance") + 1]  # the theory's identity
    with Image.open(tmp_path / "out.png") as image:
        assert image.size[0] == 1000


def test_the_installed_images(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "out.png")]) == 0
    assert "1797 images of 64 numbers" in capsys.readouterr().out


@pytest.mark.parametrize(("sizes", "words"), [([], "0 images"), ([(6, 5), (5, 6)], "give equal sizes")])
def test_what_is_refused(tmp_path, sizes, words, capsys):
    assert main([str(folder(tmp_path, sizes)), "--output", str(tmp_path / "x.png")]) == 2
    assert words in capsys.readouterr().err
    (tmp_path / "bad.png").write_bytes(b"no image")
    if len(sizes) == 0:
        (tmp_path / "worse.png").write_bytes(b"no image")
        assert main([str(tmp_path)]) == 2
        assert "is no image" in capsys.readouterr().err

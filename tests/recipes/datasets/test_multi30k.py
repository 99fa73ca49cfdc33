"""multi30k: pairs of sentences out of files that lie ready, splits, checksums."""

import gzip
import hashlib

import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import loading as _data
from attention_zoo.recipes.datasets import multi30k

COUNTS = {"train": 5, "val": 3, "test_2016_flickr": 2}


def line_of(name, language, i):
    # A next-line character inside: Python's `splitlines` would cut there.
    return f"{name} {language} {i}: Gr\u00fc\u00dfe\u0085!"


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """Short files in the manual folder, registered in place of the real ones."""
    import requests
    import tensorflow_datasets as tfds

    def unreachable(*arguments, **more):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests.Session, "head", unreachable)
    folder = tmp_path / "downloads" / "manual"
    folder.mkdir(parents=True)
    for name, count in COUNTS.items():
        for language in multi30k.LANGUAGES:
            lines = [f" {line_of(name, language, i)} \r\n" for i in range(count)]
            file = f"{name}.{language}.gz"
            content = gzip.compress("".join(lines).encode(), mtime=0)
            (folder / file).write_bytes(content)
            info = tfds.download.checksums.UrlInfo(
                size=len(content),
                checksum=hashlib.sha256(content).hexdigest(),
                filename=file,
            )
            url = multi30k.url_of(file)
            monkeypatch.setitem(multi30k.Multi30k.url_infos, url, info)
    return folder


def test_from_the_manual_folder(raw, tmp_path):
    builder = _data.tfds_builder("multi30k", str(tmp_path))
    assert builder.info.full_name == "multi30k/1.0.0"
    for split, name in multi30k.FILES.items():
        columns = _data.read_split(builder, split)
        for language in multi30k.LANGUAGES:
            got = [sentence.decode() for sentence in columns[language]]
            expected = [line_of(name, language, i) for i in range(COUNTS[name])]
            assert got == expected


def test_another_file_of_that_name_is_refused(raw, tmp_path):
    (raw / "val.de.gz").write_bytes((raw / "val.en.gz").read_bytes())
    with pytest.raises(UserError, match="checksum|Checksum"):
        _data.tfds_builder("multi30k", str(tmp_path))


def test_without_a_file(raw, tmp_path):
    (raw / "val.de.gz").unlink()
    with pytest.raises(UserError, match="multi30k.*ConnectionError: no route"):
        _data.tfds_builder("multi30k", str(tmp_path))


def test_every_file_is_registered():
    names = [f"{n}.{lang}.gz" for n in multi30k.FILES.values() for lang in ("de", "en")]
    assert sorted(names) == sorted(multi30k.CHECKSUMS)
    for file, (size, sha256) in multi30k.CHECKSUMS.items():
        info = multi30k.Multi30k.url_infos[multi30k.url_of(file)]
        assert (info.size, info.checksum, info.filename) == (size, sha256, file)
        assert multi30k.url_of(file).endswith(f"/data/task1/raw/{file}")


@pytest.mark.data("multi30k")
def test_the_prepared_data():
    builder = _data.tfds_builder("multi30k")
    sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert sizes == {"train": 29000, "validation": 1014, "test": 1000}
    first = {k: v[0].decode() for k, v in _data.read_split(builder, "test[:1]").items()}
    assert first["en"] == "A man in an orange hat starring at something."
    assert first["de"].startswith("Ein Mann mit einem orangefarbenen Hut")

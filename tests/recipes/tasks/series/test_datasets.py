"""ett and zoo_climate: rows, splits, checksums, and files that lie ready."""

import hashlib

import numpy as np
import pytest

from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import ett, zoo_climate
from attention_zoo.recipes.datasets import loading as _data

ROWS = 12


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """A short file in the manual folder, registered in place of the real one."""
    import requests
    import tensorflow_datasets as tfds

    def unreachable(*arguments, **more):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests.Session, "head", unreachable)
    folder = tmp_path / "downloads" / "manual"
    folder.mkdir(parents=True)
    lines = ["date," + ",".join(ett.VARIATES)]
    for i in range(ROWS):
        values = [f"{i}.{c}" for c in range(7)]
        lines.append(f"2016-07-01 {i:02}:00:00,{','.join(values)}")
    content = "\n".join(lines).encode()
    (folder / "ETTh1.csv").write_bytes(content)
    info = tfds.download.checksums.UrlInfo(
        size=len(content),
        checksum=hashlib.sha256(content).hexdigest(),
        filename="ETTh1.csv",
    )
    monkeypatch.setitem(ett.Ett.url_infos, ett.url_of("h1"), info)
    parts = {"train": range(6), "validation": range(6, 8), "test": range(8, 10)}
    monkeypatch.setattr(ett, "split_rows", lambda steps: parts)
    return folder / "ETTh1.csv"


def test_ett_from_the_manual_folder(raw, tmp_path):
    builder = _data.tfds_builder("ett/h1", str(tmp_path))
    assert builder.info.full_name == "ett/h1/1.0.0"
    columns = _data.read_columns(builder, "validation")
    assert columns["date"].tolist() == [b"2016-07-01 06:00:00", b"2016-07-01 07:00:00"]
    np.testing.assert_allclose(columns["OT"], [6.6, 7.6], rtol=1e-6)
    assert columns["OT"].dtype == np.float32
    sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert sizes == {"train": 6, "validation": 2, "test": 2}
    with pytest.raises(UserError, match="has no split 'rest'"):
        _data.read_columns(builder, "rest")


def test_another_file_of_that_name_is_refused(raw, tmp_path):
    raw.write_bytes(raw.read_bytes() + b"\n")
    with pytest.raises(UserError, match="checksum|Checksum"):
        _data.tfds_builder("ett/h1", str(tmp_path))


def test_without_the_file(raw, tmp_path):
    with pytest.raises(UserError, match="ett/h2.*ConnectionError: no route"):
        _data.tfds_builder("ett/h2", str(tmp_path))


def test_the_months_of_ett():
    assert ett.split_rows(1) == {
        "train": range(8640),
        "validation": range(8640, 11520),
        "test": range(11520, 14400),
    }
    assert ett.split_rows(4)["test"] == range(46080, 57600)
    assert {c.name for c in ett.Ett.BUILDER_CONFIGS} == {"h1", "h2", "m1", "m2"}
    for config, (size, sha256) in ett.CHECKSUMS.items():
        info = ett.Ett.url_infos[ett.url_of(config)]
        assert (info.size, info.checksum) == (size, sha256)
        assert info.filename == f"ETT{config}.csv"


def test_zoo_climate(tmp_path):
    weeks = list(zoo_climate.weeks())
    assert len(weeks) == 2284
    assert weeks[0] == ("1958-03-29 00:00:00", np.float32(316.1))
    assert weeks[-1] == ("2001-12-29 00:00:00", np.float32(371.5))
    assert sum(np.isnan(value) for _, value in weeks) == 59
    builder = _data.tfds_builder("zoo_climate", str(tmp_path))
    columns = [_data.read_columns(builder, s) for s in ("train", "validation", "test")]
    assert [len(c["co2"]) for c in columns] == [1599, 228, 457]
    values = np.concatenate([c["co2"] for c in columns])
    np.testing.assert_array_equal(values, [value for _, value in weeks])
    recipe = _recipe.get_recipe("attention_forecaster_climate")
    pipeline = _recipe.load_pipeline(recipe, str(tmp_path))
    assert pipeline.step_seconds == 7 * 24 * 3600
    assert pipeline.interpolated == 59
    assert pipeline.variates == ["co2"]
    with pytest.raises(UserError, match="'zoo_climate/1.0.0' has gaps"):
        _recipe.load_pipeline(recipe.replace(interpolate=False), str(tmp_path))


def test_data_of_another_kind(tmp_path, monkeypatch):
    from attention_zoo.recipes.datasets.zoo_reviews import ZooReviews

    monkeypatch.setattr(ZooReviews, "COUNTS", {"train": 5, "test": 5})
    recipe = _recipe.get_recipe("attention_forecaster_climate")
    with pytest.raises(UserError, match="it takes a feature date and numbers, and"):
        _recipe.load_pipeline(recipe.replace(dataset="zoo_reviews"), str(tmp_path))


@pytest.mark.data("ett/h1")
def test_the_protocol_on_etth1():
    recipe = _recipe.get_recipe("inverted_transformer_etth1")
    pipeline = _recipe.load_pipeline(recipe)
    assert pipeline.dataset == "ett/h1/1.0.0"
    assert pipeline.variates == list(ett.VARIATES)
    counts = {
        split: [pipeline.window_count(split, h) for h in (96, 192, 336, 720)]
        for split in ("train", "validation", "test")
    }
    assert counts == {
        "train": [8449, 8353, 8209, 7825],
        "validation": [2785, 2689, 2545, 2161],
        "test": [2785, 2689, 2545, 2161],
    }
    # Mean and deviation of the oil temperature in the first twelve months.
    assert pipeline.mean[-1] == pytest.approx(17.1283, abs=1e-3)
    assert pipeline.deviation[-1] == pytest.approx(9.1765, abs=1e-3)

"""`FisherSpectrum` against brute force on all products."""

import json

import numpy as np
import pytest
from reference.fisher import kronecker_eigenvalues
from scipy import stats

from keras_actfn._files import read_npz, write_npz
from keras_actfn.fisher import BlockSpectrum, FisherSpectrum
from keras_actfn.fisher.factors import Pair
from keras_actfn.fisher.spectrum import bin_weights

pytestmark = pytest.mark.once


def spectrum(seed, shapes=((9, 30), (41, 20), (3, 4)), zeros=2):
    generator = np.random.default_rng(seed)
    blocks = []
    for i, (a, b) in enumerate(shapes):
        omega = np.exp(generator.normal(scale=4, size=a))
        omega[: min(zeros, a - 1)] = 0
        pairs = [Pair(omega, np.exp(generator.normal(-3, 3, size=b)))]
        blocks.append(BlockSpectrum.from_raw(f"layer{i}", a * b, pairs))
    return FisherSpectrum(blocks, {"lstm": "no block"}, {"norm": "left out"}, {"mode": "exact"})


def brute_logs(block):
    with np.errstate(divide="ignore"):
        return np.sort(np.log(kronecker_eigenvalues(block.pairs)))


def test_log_eigenvalues_are_all_products():
    for block in spectrum(0).blocks:
        logs = block.log_eigenvalues()
        assert len(logs) == block.parameters
        np.testing.assert_allclose(logs, brute_logs(block), rtol=1e-10)
        assert np.isneginf(logs).sum() == 2 * len(block.pairs[0].gamma)


@pytest.mark.parametrize("bins", [1, 7, 200])
def test_histogram_counts_every_eigenvalue_once(bins):
    for block in spectrum(1).blocks:
        logs = np.clip(brute_logs(block), -100, 100)
        expected, _ = np.histogram(logs, bins, range=(-100, 100))
        np.testing.assert_array_equal(block.histogram(bins), expected)


def test_values_beyond_the_range_are_in_the_outer_bins():
    block = BlockSpectrum("a", 4, [Pair(np.array([0.0, 1.0]), np.exp([-150.0, 150.0]))])
    np.testing.assert_array_equal(block.histogram(5), [3, 0, 0, 0, 1])


def test_features_are_the_papers():
    found = spectrum(2)
    features = found.features()
    assert features.dtype == np.float32
    assert len(features) == 270 // 100 + 820 // 100 + 12 // 100
    np.testing.assert_allclose(features[:2], found.cdf("layer0"), rtol=1e-6)
    assert features[1] == features[-1] == 1.0
    counts = found.features("histogram")
    assert counts.sum() == 270 + 820
    with pytest.raises(ValueError, match="kind must be 'cdf' or 'histogram'; received 'x'"):
        found.features("x")


def test_distance_is_the_wasserstein_distance():
    a, b = spectrum(3), spectrum(4, zeros=1)
    expected = sum(
        stats.wasserstein_distance(
            np.clip(brute_logs(p), -100, 100), np.clip(brute_logs(q), -100, 100)
        )
        / p.parameters
        for p, q in zip(a.blocks, b.blocks, strict=True)
    )
    np.testing.assert_allclose(a.distance(b), expected, rtol=1e-10)
    np.testing.assert_allclose(a.distance(b, bins=20000), expected, rtol=1e-2)
    assert a.distance(a) == 0


def test_manhattan_distance_of_weighted_features_is_the_binned_distance():
    a, b = spectrum(3, shapes=((20, 10),)), spectrum(4, shapes=((20, 10),))
    manhattan = np.abs(a.features(weighted=True) - b.features(weighted=True)).sum()
    np.testing.assert_allclose(manhattan, a.distance(b, bins=2), rtol=1e-5)


def test_bins_weigh_their_width_over_the_weights():
    np.testing.assert_allclose(
        bin_weights([250, 99, 1000]), [100 / 250] * 2 + [20 / 1000] * 10, rtol=1e-15
    )
    np.testing.assert_allclose(bin_weights([50, 10], [4, 1]), [50 / 50] * 4 + [200 / 10])


def test_distance_needs_one_architecture():
    with pytest.raises(ValueError, match="must have the same numbers of weights"):
        spectrum(0).distance(spectrum(0, shapes=((3, 4),)))


def test_summary_equals_brute_force():
    block = spectrum(5).blocks[0]
    values = kronecker_eigenvalues(block.pairs)
    positive = values[values > 0]
    share = positive / positive.sum()
    expected = {
        "parameters": 270,
        "positive": len(positive),
        "max": values.max(),
        "min_positive": positive.min(),
        "trace": values.sum(),
        "effective_rank": np.exp(-(share * np.log(share)).sum()),
        "log_determinant": np.log(positive).sum(),
        "condition_number": values.max() / positive.min(),
    }
    found = block.summary()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, err_msg=name)


def test_summary_of_the_network_joins_the_blocks():
    found = spectrum(6)
    values = np.concatenate([kronecker_eigenvalues(b.pairs) for b in found.blocks])
    share = values[values > 0] / values.sum()
    np.testing.assert_allclose(found.summary()["trace"], values.sum())
    np.testing.assert_allclose(
        found.summary()["effective_rank"], np.exp(-(share * np.log(share)).sum())
    )


def test_negative_eigenvalues_are_clipped_and_reported():
    block = BlockSpectrum.from_raw("a", 3, [Pair(np.array([-0.5, 0.5, 1.0]), np.ones(1))])
    np.testing.assert_array_equal(block.pairs[0].omega, [0.0, 0.5, 1.0])
    assert block.clipped == 0.5 / 3.0
    tiny = BlockSpectrum.from_raw("a", 2, [Pair(np.array([1e-17, 1.0]), np.ones(1))])
    np.testing.assert_array_equal(tiny.pairs[0].omega, [0.0, 1.0])


def test_validity():
    good = Pair(np.ones(2), np.ones(2))
    assert FisherSpectrum([BlockSpectrum("a", 4, [good])]).valid
    for bad, why in (
        (Pair(np.array([np.nan, 1.0]), np.ones(2)), "not finite"),
        (Pair(np.ones(2), np.zeros(2)), "all its eigenvalues are zero"),
    ):
        found = FisherSpectrum([BlockSpectrum("a", 4, [good]), BlockSpectrum("b", 4, [bad])])
        assert not found.valid
        assert list(found.problems) == ["b"] and why in found.problems["b"]
        assert "invalid" in repr(found)
    assert not FisherSpectrum([]).valid


def test_spectra_that_are_not_finite_have_no_distance():
    bad = FisherSpectrum([BlockSpectrum("a", 4, [Pair(np.full(2, np.nan), np.ones(2))])])
    with pytest.raises(ValueError, match="needs finite spectra; these layers are not: a"):
        bad.distance(bad)
    assert np.isnan(bad.cdf("a", 3)).all()
    assert np.isnan(bad.summary()["trace"])


def test_save_and_load(tmp_path):
    found = spectrum(7)
    path = tmp_path / "deep" / "spectrum.npz"
    found.save(path)
    again = FisherSpectrum.load(path)
    assert [p.name for p in path.parent.iterdir()] == ["spectrum.npz"]
    assert again.layers == found.layers and again.settings == found.settings
    assert again.uncovered == found.uncovered and again.excluded == found.excluded
    np.testing.assert_array_equal(again.features(), found.features())
    assert again.distance(found) == 0


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, a=np.ones(2))
    text = tmp_path / "text.npz"
    text.write_text("no")
    for file in (path, text):
        with pytest.raises(ValueError, match=r"Pass a file written by FisherSpectrum\.save"):
            FisherSpectrum.load(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest": "[]"},
        {"manifest": "[" * 100_000},
        {"manifest": "é".encode("latin1")},
        {"blocks": [{"name": "a"}]},
        {"blocks": [{"name": 3, "parameters": 1, "pairs": 1, "clipped": 0.0}]},
        {"blocks": [{"name": "a", "parameters": 1, "pairs": 10**400, "clipped": 0.0}]},
        {"blocks": {"a": 1}},
        {"uncovered": ["a"]},
        {"version": None},
        {"format": "other"},
        {"0.0.omega": np.array(["a"])},
        {"0.0.omega": np.ones((2, 2))},
        {"0.0.gamma": np.zeros(0)},
        {"0.0.gamma": None},
    ],
)
def test_hostile_files_are_refused(tmp_path, changes):
    path = tmp_path / "spectrum.npz"
    spectrum(0).save(path)
    arrays = read_npz(path, "")
    manifest = json.loads(arrays["manifest"].tobytes())
    for name, value in changes.items():
        if name in manifest:
            manifest[name] = value
        elif name != "manifest":
            arrays[name] = value
    content = changes.get("manifest", json.dumps(manifest))
    content = content if isinstance(content, bytes) else content.encode()
    arrays["manifest"] = np.frombuffer(content, np.uint8)
    write_npz(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=r"spectrum\.npz cannot be read: it is not a Fisher spec"):
        FisherSpectrum.load(path)


@pytest.mark.parametrize("place", [40, -300, 200])
def test_damaged_files_are_named(tmp_path, place):
    path = tmp_path / "spectrum.npz"
    spectrum(0).save(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"spectrum\.npz cannot be read: .*compute the spectrum"):
        FisherSpectrum.load(path)


@pytest.mark.parametrize(
    "change, text",
    [
        (dict(parameters=10**15), "'layer0' has 1000000000000000 weights and 270 eigenvalues"),
        (dict(clipped=float("nan")), "of block 'layer0' the share nan is clipped"),
        (dict(omega=np.array([2.0, 1.0] + [3.0] * 7)), "'layer0' are negative or not in order"),
        (dict(omega=np.arange(-1.0, 8.0)), "'layer0' are negative or not in order"),
    ],
)
def test_files_that_contradict_themselves_are_refused(tmp_path, change, text):
    found, path = spectrum(7), tmp_path / "hostile.npz"
    block = found.blocks[0]
    if "omega" in change:
        block.pairs = [Pair(change["omega"], block.pairs[0].gamma)]
    else:
        vars(block).update(change)
    found.save(path)
    with pytest.raises(ValueError, match=rf"hostile\.npz cannot be read.*{text}.*compute the"):
        FisherSpectrum.load(path)


def test_spectra_that_are_not_finite_can_be_read(tmp_path):
    values = np.array([1.0, np.nan])
    FisherSpectrum([BlockSpectrum("a", 4, [Pair(values, values)])]).save(tmp_path / "a.npz")
    assert not FisherSpectrum.load(tmp_path / "a.npz").valid


def test_unknown_layers_are_named():
    with pytest.raises(ValueError, match=r"No block is named 'lstm'.*It was not treated: no block"):
        spectrum(0).log_eigenvalues("lstm")
    with pytest.raises(ValueError, match="It was left out"):
        spectrum(0).cdf("norm")
    np.testing.assert_array_equal(spectrum(0).cdf(0), spectrum(0).cdf("layer0"))

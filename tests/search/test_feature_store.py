"""The store of spectra: complete or absent, whoever writes and whenever it is killed."""

import subprocess
import sys
import time

import numpy as np
import pytest
from processes import ANY_BACKEND

from keras_actfn._files import write_json
from keras_actfn.fisher import BlockSpectrum, FisherSpectrum
from keras_actfn.fisher.factors import Pair
from keras_actfn.search.feature_store import FeatureStore, ProbeResult

pytestmark = pytest.mark.once

KEY = {"space": "s", "model": "m", "seed": 0}
SIZES = (150, 320)  # 1 and 3 bins


def valid(number):
    """A result whose spectrum follows from its number."""
    return ProbeResult(number, np.float32([1, number, number + 1, number + 2]), None, SIZES)


def invalid(number, reason="not finite"):
    return ProbeResult(number, reason=reason)


def test_results_come_back_in_the_order_of_their_numbers(tmp_path):
    store = FeatureStore(tmp_path, KEY)
    store.append([valid(9), invalid(4), valid(2)])
    store.append([invalid(7, "zero"), invalid(8)])
    store.append([])
    store.append(iter([valid(5)]))
    for reader in (store, FeatureStore(tmp_path, KEY)):
        features = reader.load()
        np.testing.assert_array_equal(features.ids, [2, 5, 9])
        np.testing.assert_array_equal(features.cdfs, [valid(i).cdf for i in (2, 5, 9)])
        assert features.cdfs.dtype == np.float32
        assert features.parameters == SIZES
        assert features.invalid == {4: "not finite", 7: "zero", 8: "not finite"}
        assert features.reasons() == {"not finite": 2, "zero": 1}
        assert reader.ids() == {2, 4, 5, 7, 8, 9}
        counts = {"probed": 6, "valid": 3, "invalid": 3}
        assert reader.counts() == features.counts() == counts


def test_an_empty_store_has_empty_features(tmp_path):
    store = FeatureStore(tmp_path / "new" / "folder", KEY)
    features = store.load()
    assert store.ids() == set()
    assert features.cdfs.shape == (0, 0) and features.weights.shape == (0,)
    assert store.counts() == {"probed": 0, "valid": 0, "invalid": 0}


def test_no_function_appears_twice(tmp_path):
    one, other = FeatureStore(tmp_path, KEY), FeatureStore(tmp_path, KEY)
    one.append([valid(1), invalid(2)])
    other.append([valid(1), valid(2), valid(3)])
    one.append([invalid(1), invalid(3)])
    for store in (one, other):
        features = store.load()
        assert sorted([*features.ids.tolist(), *features.invalid]) == [1, 2, 3]
        assert store.counts()["probed"] == 3
        assert store.counts() == features.counts()


def test_what_a_killed_writer_leaves_is_ignored(tmp_path):
    store = FeatureStore(tmp_path, KEY)
    store.append([valid(1)])
    shard = next(tmp_path.glob("shard-*.npz"))
    content = shard.read_bytes()
    (tmp_path / f".{shard.name}.0123").write_bytes(content[: len(content) // 2])
    (tmp_path / ".manifest.json.0123").write_text('{"for')
    assert FeatureStore(tmp_path, KEY).ids() == {1}


def test_a_damaged_shard_is_named_and_left_out(tmp_path):
    store = FeatureStore(tmp_path, KEY)
    store.append([valid(1)])
    damaged = next(tmp_path.glob("shard-*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    again = FeatureStore(tmp_path, KEY)
    with pytest.warns(UserWarning, match=f"{damaged.name} cannot be read: .* Delete it"):
        assert again.ids() == set()
    again.append([valid(1)])
    np.testing.assert_array_equal(again.load().ids, [1])


def test_a_folder_belongs_to_one_key(tmp_path):
    FeatureStore(tmp_path, KEY).append([valid(1)])
    with pytest.raises(ValueError, match=r"seed=1 where the folder has 0\. Choose another"):
        FeatureStore(tmp_path, {**KEY, "seed": 1})
    with pytest.raises(ValueError, match="mode='exact' where the folder has None"):
        FeatureStore(tmp_path, {**KEY, "mode": "exact"})
    assert FeatureStore(tmp_path, {**KEY}).ids() == {1}


def test_a_folder_of_a_newer_version_is_refused(tmp_path):
    FeatureStore(tmp_path, KEY)
    manifest = {"format": "keras-actfn features", "version": 99, "key": KEY}
    write_json(tmp_path / "manifest.json", manifest, checked=True)
    with pytest.raises(ValueError, match=r"version 99\. Choose another folder, or install a newer"):
        FeatureStore(tmp_path, KEY)


def test_spectra_of_other_layers_are_refused(tmp_path):
    store = FeatureStore(tmp_path, KEY)
    store.append([valid(1)])
    other = ProbeResult(2, np.zeros(4, np.float32), None, (150, 330))
    with pytest.raises(ValueError, match=r"\(150, 320\) and \(150, 330\).*nothing but the act"):
        FeatureStore(tmp_path, KEY).append([other])
    assert store.ids() == {1}


def test_weights_make_the_manhattan_distance_equation_2(tmp_path):
    generator = np.random.default_rng(0)

    def spectrum(size, scale):
        pair = Pair(
            np.sort(generator.gamma(1, scale, size)), np.sort(generator.gamma(1, scale, 40))
        )
        return FisherSpectrum([BlockSpectrum("layer", size * 40, [pair])])

    total, parts, sizes = 0.0, [], []
    for size in (10, 35):  # two layers of different sizes: the distance adds up
        a, b = spectrum(size, 1.0), spectrum(size, 1e-6)
        sizes.append(size * 40)
        total += a.distance(b, bins=size * 40 // 100)
        parts.append((a.features(), b.features()))
    a, b = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    results = [ProbeResult(0, a, None, tuple(sizes)), ProbeResult(1, b, None, tuple(sizes))]
    store = FeatureStore(tmp_path, KEY)
    store.append(results)
    features = store.load()
    distance = np.abs(features.cdfs[0] - features.cdfs[1]) @ features.weights
    assert distance == pytest.approx(total, rel=1e-5)
    assert total > 0


_WRITER = """
import sys
import numpy as np
from keras_actfn.search.feature_store import FeatureStore, ProbeResult

store = FeatureStore(sys.argv[1], {"space": "s", "model": "m", "seed": 0})
print("ready", flush=True)
for i in range(10**6):
    cdf = np.float32([1, i, i + 1, i + 2])
    store.append([ProbeResult(2 * i, cdf, None, (150, 320)), ProbeResult(2 * i + 1, reason="odd")])
"""


def test_two_processes_write_and_one_is_killed(tmp_path):
    store = FeatureStore(tmp_path, KEY)
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ANY_BACKEND) as writer:
        assert writer.stdout.readline() == b"ready\n"
        number = 10**7
        while len(store.ids()) < 60 or number < 10**7 + 20:
            store.append([valid(number)])
            number += 1
            time.sleep(0.001)
        writer.kill()
    features = FeatureStore(tmp_path, KEY).load()
    assert set(range(10**7, number)) <= set(features.ids.tolist())
    theirs = features.ids < 10**7
    halves = features.ids[theirs] // 2
    np.testing.assert_array_equal(halves, np.arange(theirs.sum()))  # none missing, none torn
    np.testing.assert_array_equal(features.cdfs[theirs][:, 1:], halves[:, None] + np.arange(3))
    assert set(features.invalid) == set((features.ids[theirs] + 1).tolist())

"""Several devices train to the weights of one: each backend's own tools, on a CPU's devices."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

#: Run in a process of its own, which alone can have other devices than this one.
SCRIPT = r"""
import json, os, sys, warnings

flags = os.environ.get("XLA_FLAGS", "")
os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=4"
warnings.simplefilter("ignore")
import keras
import numpy as np

from keras_actfn import activation

RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(16, size)).astype("float32") for size in (6, 4))


def model():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6,))]
    for spec in ("pwl(axis=-1,knots=5)", "aff(identity,relu,tanh)", "crrelu", "pwl(knots=7)"):
        layers += [keras.layers.Dense(8), activation(spec)]
    built = keras.Sequential([*layers, keras.layers.Dense(4)])
    built.compile(keras.optimizers.SGD(0.1), "mse")
    return built


def train(built):
    built.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return [np.asarray(weight).tolist() for weight in built.get_weights()]


def jax_devices():
    mesh = keras.distribution.DeviceMesh
    distribution = keras.distribution
    yield "data", distribution.DataParallel(devices=distribution.list_devices())
    both = mesh((2, 2), ["batch", "model"], distribution.list_devices())
    layout = distribution.LayoutMap(both)
    layout[".*kernel"] = distribution.TensorLayout([None, "model"], both)
    layout[".*/pwl/values"] = distribution.TensorLayout([None, "model"], both)
    yield "model", distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")


def several():
    if keras.backend.backend() == "jax":
        for name, distribution in jax_devices():
            keras.backend.clear_session()  # names from their beginning
            with distribution.scope():
                built = model()
                own, shared = (built.layers[at].values.value.sharding for at in (1, 7))
                assert own.is_fully_replicated == (name == "data") and shared.is_fully_replicated
                weights = train(built)
                assert keras.distribution.distribution() is distribution
                assert len(built.layers[1].values.value.sharding.device_set) == 4
                yield name, weights
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with strategy.scope():
            yield "mirrored", train(model())
    else:
        yield "processes", train_in_processes()


def train_in_processes():
    import tempfile

    import torch

    folder = tempfile.mkdtemp()
    # Forked, they need not import PyTorch and Keras again.
    torch.multiprocessing.start_processes(one_process, (folder,), nprocs=2, start_method="fork")
    with open(os.path.join(folder, "weights")) as file:
        return json.load(file)


def one_process(rank, folder):
    import torch

    torch.set_num_threads(1)
    place = "file://" + os.path.join(folder, "meeting")
    torch.distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
    built = model()
    parallel = torch.nn.parallel.DistributedDataParallel(built)
    for _ in range(2):
        for start in (0, 8):
            mine = slice(start + 4 * rank, start + 4 * rank + 4)
            built.zero_grad()
            loss = ((parallel(torch.tensor(X[mine])) - torch.tensor(Y[mine])) ** 2).mean()
            loss.backward()
            gradients = [variable.value.grad for variable in built.trainable_variables]
            with torch.no_grad():
                built.optimizer.apply(gradients, built.trainable_variables)
    if rank == 0:
        with open(os.path.join(folder, "weights"), "w") as file:
            json.dump([np.asarray(w).tolist() for w in built.get_weights()], file)
    torch.distributed.barrier()
    os._exit(0)  # the threads of gloo and of the reducer may wait for each other when they end


if __name__ == "__main__":
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
    start = [np.asarray(weight).tolist() for weight in model().get_weights()]
    print(json.dumps({"start": start, "one": train(model()), **dict(several())}))
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weights at the start, after training on one device, and on several."""
    file = tmp_path_factory.mktemp("devices") / "several_devices.py"
    file.write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, file], env=os.environ, capture_output=True, text=True, timeout=180
    )
    assert run.returncode == 0, run.stderr[-4000:]
    found = json.loads(run.stdout.splitlines()[-1])
    return {name: [np.array(w) for w in arrays] for name, arrays in found.items()}


KINDS = {"jax": ("data", "model"), "tensorflow": ("mirrored",), "torch": ("processes",)}


@pytest.mark.parametrize("kind", KINDS[keras.backend.backend()])
def test_several_devices_train_to_the_weights_of_one(weights, kind):
    assert set(weights) == {"start", "one", *KINDS[keras.backend.backend()]}
    for start, one, several in zip(weights["start"], weights["one"], weights[kind], strict=True):
        assert not np.allclose(start, one, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(several, one, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS[keras.backend.backend()])
def test_the_constraint_holds_on_several_devices(weights, kind):
    hulls = [w for w in weights[kind] if w.shape == (3,)]
    assert len(hulls) == 1
    np.testing.assert_allclose(hulls[0].sum(), 1, atol=1e-6)

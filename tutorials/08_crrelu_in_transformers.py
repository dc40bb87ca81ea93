"""CRReLU, and any other activation, in vision transformers and GPT-2
==================================================================

Run it from any folder:

    python tutorials/08_crrelu_in_transformers.py

It takes less than a minute on two cores.
"""

from pathlib import Path

import keras
import numpy as np
from keras_actfn.applications import GPT2, DeiTTiny, ViTTiny, generate

from keras_actfn import datasets
from keras_actfn.finetuning.distillation import Distillation
from keras_actfn.finetuning.preference import DirectPreferenceOptimization, SupervisedFineTuning
from keras_actfn.finetuning.preference_data import Preference, WordTokenizer, encode
from keras_actfn.plotting import draw_function, function_curve, save_figure

keras.utils.set_random_seed(0)

# %%
# 1. The MLP of each block has an activation of its own. CRReLU, max(0, x) + ε x exp(-x²/2), learns
#    one number ε, so ViT-Tiny with its 12 blocks has 12 parameters more than with GELU.
for activation in ("gelu", "crrelu"):
    print(f"ViT-Tiny with {activation}: {ViTTiny(activation).count_params():,} parameters")

# %%
# 2. Width, depth, image size and patch size are arguments. Train a small ViT on scikit-learn's 8×8
#    digits. After training, ε differs between the blocks.
data = datasets.digits(image_size=8)
small = {"input_shape": (8, 8, 1), "patch_size": 4, "width": 48, "depth": 2}


def accuracy(model):
    """Share of the test digits that the model gets right."""
    return np.mean(model.predict(data.x_test, verbose=0).argmax(-1) == data.y_test)


vit = ViTTiny("crrelu", **small)
vit.compile(keras.optimizers.AdamW(3e-3), "sparse_categorical_crossentropy")
vit.fit(data.x_train, data.y_train, batch_size=64, epochs=8, verbose=0)
sites = [layer for layer in vit.layers if layer.name.startswith("activation_")]
epsilons = [float(keras.ops.convert_to_numpy(site.epsilon)) for site in sites]
print(f"\nViT: accuracy {accuracy(vit):.3f}, ε = {', '.join(f'{e:+.3f}' for e in epsilons)}")
curve = function_curve(sites[0].evaluate, f"CRReLU after training, ε = {epsilons[0]:+.3f}")
folder = Path("runs/tutorials")
folder.mkdir(parents=True, exist_ok=True)
print("figure:", save_figure(draw_function(curve), folder / "08_crrelu.png"))

# %%
# 3. DeiT also learns from a teacher, through a token of its own. The teacher is any Keras model of
#    the same classes; it does not change.
student = DeiTTiny("crrelu", **small)
training = Distillation(student, teacher=vit, kind="hard")
training.compile(keras.optimizers.AdamW(3e-3), "sparse_categorical_crossentropy")
training.fit(data.x_train, data.y_train, batch_size=64, epochs=8, verbose=0)
print(f"DeiT taught by the ViT: accuracy {accuracy(student):.3f}")

# %%
# 4. Train GPT-2 from scratch on six sentences: first supervised fine-tuning on the chosen answers,
#    then direct preference optimisation, which widens the margin between chosen and rejected
#    answers. `read_hh` and `read_shp` read real preferences, `gpt2_from_preset` loads pretrained
#    weights.
animals = {
    "cow": "moo",
    "cat": "meow",
    "dog": "woof",
    "duck": "quack",
    "sheep": "baa",
    "pig": "oink",
}
sounds = list(animals.values())
pairs = [
    Preference(
        f"what does the {animal} say?", f"the {animal} says {sound}", f"the {animal} says {other}"
    )
    for animal, sound, other in zip(animals, sounds, sounds[1:] + sounds[:1], strict=True)
]
tokenizer = WordTokenizer((pair.prompt + " " + pair.chosen for pair in pairs), size=50)
arrays = encode(pairs, tokenizer, max_length=16, max_prompt=8)
gpt2 = GPT2("crrelu", input_shape=(16,), classes=tokenizer.size, width=32, depth=2, heads=2)

tuning = SupervisedFineTuning(gpt2)
tuning.compile(keras.optimizers.Adam(1e-2))
tuning.fit(arrays, batch_size=6, epochs=60, verbose=0)
preference = DirectPreferenceOptimization(gpt2, beta=0.1)
preference.compile(keras.optimizers.Adam(3e-3))
history = preference.fit(arrays, batch_size=6, epochs=10, verbose=0).history
for metric, values in history.items():
    print(f"DPO {metric}: first epoch {values[0]:.3f}, last epoch {values[-1]:.3f}")

# %%
# 5. Generation caches the keys and values of earlier tokens.
prompt = tokenizer.encode("what does the duck say?")
text = generate(gpt2, [prompt], 6, greedy=True, end_token=tokenizer.end)[0]
print("\n" + tokenizer.decode(text))

"""Makes seeds for the fuzz targets of formats and readers from the files of the tests: python3 fuzz/seeds.py"""

import glob
import json
import os
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODELS = os.path.join(ROOT, "tests", "golden", "sae_formats")
# the list of src/formats_detect.rs
NAMES = [
    "cfg.json", "config.json", "hyperparams.json", "sae_weights.safetensors", "sparsity.safetensors", "activation_scaler.json",
    "sae.safetensors", "params.npz", "params.safetensors", "ae.pt", "cc_weights.pt", "0.pt", "checkpoints/final.safetensors",
    "layer_0.safetensors", "W_enc_0.safetensors", "W_dec_0.safetensors", "W_enc_1.safetensors", "W_dec_1.safetensors",
    "params_layer_1.safetensors", "other.safetensors",
]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def seed(target, name, data):
    folder = os.path.join(ROOT, "fuzz", "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def model(folder):
    name = "_".join(os.path.relpath(folder, MODELS).split(os.sep))
    files = {file: read(os.path.join(folder, file)) for file in json.load(open(os.path.join(folder, "expect.json")))["files"]}
    parts = [bytes([NAMES.index(file)]) + len(data).to_bytes(2, "little") + data for file, data in files.items()]
    seed("formats_detect", name, b"\0" + b"".join(parts))
    for file, data in files.items():
        weights(name + "_" + file.replace("/", "_"), data)
    if name.startswith("saelens"):
        settings = files["cfg.json"]
        seed("formats_saelens", name, len(settings).to_bytes(2, "little") + settings + files["sae_weights.safetensors"])


def weights(name, data):
    if name.endswith(".safetensors"):
        seed("formats_safetensors", name, data)
    elif name.endswith(".npz"):
        seed("formats_npz", name, data)
    elif name.endswith(".pt"):
        seed("formats_torch", name, data)


def members(path, name):
    """What lies inside of an archive, where no checksum stops a change."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                seed("formats_npz", f"{name}_{member}", archive.read(member))
            elif member.endswith("data.pkl"):
                seed("formats_torch", f"{name}_pickle", archive.read(member))


for case in json.load(open(os.path.join(ROOT, "tests", "golden", "explain", "neuron_record_json.json")))["cases"]:
    seed("neuron_record", case["name"], case["given"]["json"].encode())
for expectation in glob.glob(os.path.join(MODELS, "*", "*", "expect.json")):
    model(os.path.dirname(expectation))
for path in glob.glob(os.path.join(MODELS, "malformed", "*.*")):
    weights("malformed_" + os.path.basename(path), read(path))
for path in glob.glob(os.path.join(MODELS, "*", "*", "*")):
    try:
        members(path, "_".join(os.path.relpath(path, MODELS).split(os.sep)))
    except zipfile.BadZipFile:
        pass
# tabs part the tokens, of which there are up to 32, and the scale ends at 10
HEAD = bytes([0, 32, 240, 0]) + bytes(12)
for path in glob.glob(os.path.join(ROOT, "tests", "golden", "explain", "self_explanation_parse*.json")):
    for case in json.load(open(path))["cases"]:
        text = case["given"]["text"].encode()
        seed("self_report", case["name"], text)
        seed("completion", case["name"], HEAD + text)
ANSWERS = {
    "lines": "a\t4\n b\t10\nc\t7\u0f17\n",
    "json": '{"activations": [{"token": "a", "activation": 3}, {"token": " b", "activation": null}]}',
    "tuples": "[(0, 'a', 3), (1, \" b\", 0), (2, 'it's', 10)]",
}
for name, answer in ANSWERS.items():
    seed("completion", name, HEAD + answer.encode())

"""Hidden states and MLP activations of limpid-minilm beside the Python model's.

    pip install torch transformers safetensors
    cargo run --release -- states MODEL_DIR TEXT_FILE --out states.safetensors --max-lines 20
    python compare.py MODEL_DIR TEXT_FILE states.safetensors 20
"""

import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

folder, text, file, lines = sys.argv[1:]
model = AutoModel.from_pretrained(folder, add_pooling_layer=False).float().eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
ours = load_file(file)
neurons = [[] for _ in model.encoder.layer]
for layer, kept in zip(model.encoder.layer, neurons):
    layer.intermediate.register_forward_hook(lambda m, i, out, kept=kept: kept.append(out[0]))
hidden, tokens = [[] for _ in range(len(neurons) + 1)], []
with open(text, encoding="utf-8") as stream, torch.no_grad():
    for line in [line.strip() for _, line in zip(range(int(lines)), stream)]:
        if not line:
            continue
        ids = tokenizer(line, return_tensors="pt", truncation=True, max_length=model.config.max_position_embeddings)
        out = model(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"], output_hidden_states=True)
        tokens.append(ids["input_ids"][0])
        for kept, state in zip(hidden, out.hidden_states):
            kept.append(state[0])
assert torch.equal(torch.cat(tokens), ours["token"].long()), "the token ids differ"
worst = 0.0
for name, theirs in (("hidden", hidden), ("neurons", neurons)):
    for index, parts in enumerate(theirs):
        difference = (torch.cat(parts) - ours[name][index]).abs().max().item()
        worst = max(worst, difference)
        print(f"{name} {index}: largest difference {difference:.2e}")
sys.exit(0 if worst <= 1e-4 else f"differs by {worst:.2e}, more than 1e-4")

"""Attributions of limpid-minilm beside Captum's, for the same model, tokens and baseline.

    pip install torch transformers captum
    cargo run --release -- similar MODEL_DIR "one sentence" "another" --json attributions.json
    python compare_attribution.py MODEL_DIR attributions.json
"""

import json
import sys

import torch
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients, Saliency
from transformers import AutoModel

folder, file = sys.argv[1:]
model = AutoModel.from_pretrained(folder, add_pooling_layer=False).float().eval()
table = model.get_input_embeddings().weight.detach()
BOUND = 1e-3  # of the largest attribution of a method
worst = 0.0
for number, record in enumerate(json.load(open(file, encoding="utf-8"))):
    ids, special = torch.tensor(record["ids"]), torch.tensor(record["special"])
    weights = torch.tensor(record["weights"])

    def value(embeddings):
        """What is explained, of rows of word embeddings (b, t, d)."""
        mask = torch.ones(embeddings.shape[:2], dtype=torch.long)
        mean = model(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state.mean(1)
        return torch.nn.functional.normalize(mean, dim=1) @ weights + record["offset"]

    x = table[ids][None]
    baseline = table[torch.where(special, ids, record["baseline"])][None]
    tokens = torch.arange(len(ids))[None, :, None]
    theirs = {
        "saliency": Saliency(value).attribute(x).norm(dim=2),
        "gradient x input": InputXGradient(value).attribute(x).sum(2),
        "integrated gradients": IntegratedGradients(value)
        .attribute(x, baseline, n_steps=record["steps"], method="gausslegendre", internal_batch_size=16)
        .sum(2),
        "occlusion": FeatureAblation(value).attribute(x, baseline, feature_mask=tokens)[..., 0],
    }
    with torch.no_grad():
        pair = [(value(x).item(), record["value"]), (value(baseline).item(), record["base_value"])]
    print(f"sentence {number}: {len(ids)} tokens, value {pair[0][1]:.6f}")
    for name, (a, b) in zip(("value", "value without words"), pair):
        print(f"  {name}: difference {abs(a - b):.2e}")
        worst = max(worst, abs(a - b))
    for name, found in theirs.items():
        # special tokens are not explained
        found, ours = found[0].detach()[~special], torch.tensor(record["tokens"][name])[~special]
        difference = ((found - ours).abs().max() / found.abs().max()).item()
        worst = max(worst, difference)
        print(f"  {name}: largest difference {difference:.2e} of the largest attribution {found.abs().max():.4f}")
sys.exit(0 if worst <= BOUND else f"differs by {worst:.2e}, more than {BOUND}")

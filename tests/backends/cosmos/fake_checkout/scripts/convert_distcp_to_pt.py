import sys
from pathlib import Path

model, output = Path(sys.argv[1]), Path(sys.argv[2])
text = (model / "__0_0.distcp").read_text()
for name in ("model.pt", "model_ema_fp32.pt", "model_ema_bf16.pt"):
    (output / name).write_text(f"{name}: {text}")

"""
How do I run a network on a microcontroller?
============================================

`export` writes C99 with one function, float32, and no memory of its own. A compiler, where there is one,
checks it here.
"""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ecgcvx
from ecgcvx.export import export

recording = ecgcvx.read_recording("../../data/mitdb208/208", end=60)
model = ecgcvx.fit(recording, "gated", patterns=20, beta=1e-4).forecaster
folder = Path(tempfile.mkdtemp())
header, source = export(model, "c", folder / "forecast")
print(header.read_text())

# %%
# Ten seconds by the compiled function beside those of the package.

forecast = model.predict(recording)[:3600]
compiled = np.full(3600, np.nan)
compiler = shutil.which("cc")
if compiler:
    library = folder / "forecast.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    function = ctypes.CDLL(str(library)).forecast_predict
    function.restype, function.argtypes = ctypes.c_float, [ctypes.POINTER(ctypes.c_float)]
    for k in range(15, 3600):
        window = np.ascontiguousarray(recording.signal[k - 15 : k], dtype=np.float32)
        compiled[k] = function(window.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
    assert np.nanmax(np.abs(compiled - forecast)) < 1e-5

figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
axes.plot(np.arange(3600) / 360, 1e6 * (compiled - forecast), color="C0", linewidth=0.6)
axes.set(xlabel="time (s)", ylabel="C minus Python (nV)")
plt.show()

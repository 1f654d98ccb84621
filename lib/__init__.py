"""One thin library for one paper."""

import os

# Threads that wait for one another by spinning stand still together when the machine has other
# work: a training step on two threads then takes fifty times as long. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""One thin library for one paper."""

import os
import sys

# Threads that wait for one another by spinning stand still together when the machine has other
# work: a training step on two threads then takes fifty times as long. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# jsonschema, which checks notebooks, compiles a grammar of IRIs as soon as it is imported: over a second in
# each process that reads a notebook. No notebook has an IRI; without this module jsonschema does without them.
sys.modules.setdefault("rfc3987_syntax", None)

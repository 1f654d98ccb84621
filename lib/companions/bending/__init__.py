"""Embeddings of low bending and low distortion (Braunsmann et al., M2AN 58(1), 2024)."""

"""Servers as endpoints on NVIDIA DGX Cloud Lepton."""

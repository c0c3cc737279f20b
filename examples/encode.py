"""Encode two sentences and compare them: `python encode.py MODEL`."""

import sys

import pubvec

encoder = pubvec.load(sys.argv[1] if len(sys.argv) > 1 else "pubvec-small")
vectors = encoder.encode(["Metformin lowers blood glucose.", "A drug against diabetes."])
print(f"cosine {vectors[0] @ vectors[1]:.3f}")

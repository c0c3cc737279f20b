"""A plain embedding server, as people write it with FastAPI and sentence-transformers: `server_load.py` measures it.

python -m benchmarks.plain_server MODEL PORT
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class Inputs(BaseModel):
    """Texts."""

    inputs: list[str]


def main() -> None:
    """Serve until killed."""
    model, app = SentenceTransformer(sys.argv[1], device="cpu"), FastAPI()

    @app.get("/health")
    def health() -> None:
        pass

    @app.post("/embed")
    def embed(request: Inputs) -> list[list[float]]:
        vectors: list[list[float]] = model.encode(request.inputs, normalize_embeddings=True).tolist()
        return vectors

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")


if __name__ == "__main__":
    main()

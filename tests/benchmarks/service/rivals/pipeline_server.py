"""FastAPI around a transformers pipeline, as tutorials have it; run by uvicorn with the checkpoint in CHECKPOINT."""

from __future__ import annotations

import os

from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class Message(BaseModel):
    """A message to classify."""

    text: str


classify = pipeline("text-classification", model=os.environ["CHECKPOINT"], device="cpu", top_k=None)
app = FastAPI()


@app.post("/classify")
def classify_message(message: Message) -> list[dict[str, object]]:
    """Scores of every label."""
    return classify([message.text], truncation=True)[0]


@app.get("/health")
def health() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}

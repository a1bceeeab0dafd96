#!/usr/bin/env python3
"""classify-peer.py DIR PORT THREADS: the server that ours is measured against: transformers' own pipeline over
DIR/torch behind FastAPI, as classifier servers are written; one text at a time, so that its threads do not fight."""
import sys, threading
import torch, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import DebertaV2ForSequenceClassification, DebertaV2TokenizerFast, pipeline

folder, port, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
classifier = pipeline("text-classification", DebertaV2ForSequenceClassification.from_pretrained(folder + "/torch").eval(),
                      tokenizer=DebertaV2TokenizerFast(tokenizer_file=folder + "/tokenizer.json", model_max_length=512),
                      truncation=True, max_length=512)
lock = threading.Lock()
app = FastAPI()


class Request(BaseModel):
    text: str


@app.post("/classify")
def classify(request: Request):
    with lock, torch.inference_mode():
        found = classifier(request.text)[0]
    return {"label": found["label"], "confidence": found["score"]}


@app.get("/health")
def health():
    return {"status": "ok"}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")

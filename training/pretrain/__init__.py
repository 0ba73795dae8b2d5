"""Pretraining of the compact encoder on public text: shards, objectives, the loop and its probes."""

"""The same bundle behind LitServe, batched by it: `litserve_server.py PORT WORKERS [BUNDLE]`."""

from __future__ import annotations

import sys

import litserve
from forewarn.inference import ScamClassifier

# As the service has them.
_BATCH, _WAIT_S = 64, 0.002


class ScamAPI(litserve.LitAPI):
    """A message in, a verdict out."""

    def setup(self, device: str) -> None:
        """Load the bundle."""
        self.classifier = ScamClassifier.load(sys.argv[3] if len(sys.argv) > 3 else None, threads=1)

    def decode_request(self, request: dict[str, str], **kwargs: object) -> str:
        """The text of a request."""
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """Texts stay a list."""
        return inputs

    def predict(self, texts: list[str], **kwargs: object) -> list[dict[str, object]]:
        """A verdict a text."""
        return [verdict.to_dict() for verdict in self.classifier.score(texts)]

    def unbatch(self, output: list[dict[str, object]]) -> list[dict[str, object]]:
        """Verdicts are a list."""
        return output

    def encode_response(self, output: dict[str, object], **kwargs: object) -> dict[str, object]:
        """As it is."""
        return output


if __name__ == "__main__":
    api = ScamAPI(max_batch_size=_BATCH, batch_timeout=_WAIT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(sys.argv[2]), fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")

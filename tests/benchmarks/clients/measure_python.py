"""One cold process of the Python client: a job as JSON on standard input, its figures as JSON on standard output.

`run.py` starts it, and says in workers.py what a job and its figures are.
"""

import json
import sys
import time
from pathlib import Path


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def runtime_bytes() -> int:
    """Size of the native libraries of the runtime that this process has loaded."""
    paths = {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()}
    own = (x for x in paths if ".so" in x and ("/onnxruntime/" in x or "/tokenizers/" in x))
    return sum(Path(x).stat().st_size for x in own)


def main() -> None:
    """Load, score, and say what it took."""
    job = json.load(sys.stdin)
    if job["bundle"] is None:
        import onnxruntime  # noqa: F401
        import tokenizers  # noqa: F401

        print(json.dumps({"peak": peak_bytes()}))
        return

    def timed(texts: list[str]) -> float:
        start = time.perf_counter()
        classifier.score(texts)
        return 1000 * (time.perf_counter() - start)

    start = time.perf_counter()
    from forewarn.inference import ScamClassifier

    classifier = ScamClassifier.load(job["bundle"], threads=1)
    load = 1000 * (time.perf_counter() - start)
    for text in job["warm"]:
        classifier.score([text])
    message = [timed([text]) for text in job["texts"]]
    peak_alone = peak_bytes()
    batch = [timed(texts) for texts in job["batches"]]
    modules = [x.__file__ for name, x in sys.modules.items() if name.startswith("forewarn.inference")]
    print(
        json.dumps(
            {
                "load": load,
                "message": message,
                "batch": batch,
                "peak_alone": peak_alone,
                "peak": peak_bytes(),
                "runtime_bytes": runtime_bytes(),
                "code_bytes": sum(Path(x).stat().st_size for x in modules if x),
            }
        )
    )


if __name__ == "__main__":
    main()

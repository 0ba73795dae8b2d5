"""The `forewarn` program: finds the subcommand's module, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from forewarn.inference.errors import ForewarnError, MissingExtraError

# Subcommand -> (module with `main(argv) -> int`, extra that it needs, what it does). Modules are imported only when
# asked for, so that `forewarn score` starts without FastAPI or torch.
COMMANDS: dict[str, tuple[str, str | None, str]] = {
    "score": ("forewarn.inference.cli_score", None, "score messages from arguments, a file or standard input"),
    "serve": ("forewarn.inference.cli_serve", "serve", "run the HTTP scoring service"),
    "keys": ("forewarn.inference.cli_keys", "serve", "make, list and revoke keys of the HTTP service"),
    "data": ("forewarn.training.data.cli", "train", "list, fetch, build and count the labelled data"),
    "pretrain": ("forewarn.training.cli_pretrain", "train", "pretrain the encoder on public text"),
    "probe": ("forewarn.training.cli_probe", "train", "compare encoders: retrieval, zero-shot and few-shot transfer"),
    "train": ("forewarn.training.cli_train", "train", "train a model from a config file"),
    "evaluate": ("forewarn.training.evaluation.cli", "train", "measure a model by language, source and leaf"),
    "bundle": ("forewarn.inference.cli_bundle", None, "check, sign, release, update and convert bundles"),
    "bench": ("forewarn.inference.cli_bench", None, "measure load time, speed and memory of a bundle"),
    "export": ("forewarn.export.cli", "export", "turn a checkpoint into an int8 ONNX bundle"),
}

# Top-level modules that belong to our extras; a failed import of anything else is a bug and shows its traceback.
_EXTRA_MODULES = {
    "fastapi", "starlette", "uvicorn", "pydantic", "pydantic_core", "pydantic_settings", "prometheus_client", "limits",
    "torch", "transformers", "datasets", "accelerate", "pyarrow", "datasketch",
    "sklearn", "matplotlib", "jinja2", "yaml", "openpyxl", "httpx", "onnx", "onnxscript", "tqdm",
    "scipy", "safetensors", "joblib", "babel", "phonenumbers", "faker", "persiantools", "py3langid",
}  # fmt: skip


def usage() -> str:
    """The help text of the program."""
    lines = ["usage: forewarn COMMAND [OPTIONS]", "", "commands:"]
    lines += [f"  {name:9} {about}" for name, (_, _, about) in COMMANDS.items()]
    lines += ["", "forewarn COMMAND --help tells each command's options, forewarn --version what is installed."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code (0 done, 2 wrong use, 3 bad bundle, 4 a gate that did not pass)."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0 if args else 2
    name, rest = args[0], args[1:]
    if name == "--version":
        return _tell_version()
    if name not in COMMANDS:
        print(f"forewarn: unknown command {name!r}; one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module, extra, _ = COMMANDS[name]
    try:
        try:
            return int(importlib.import_module(module).main(rest))
        except ModuleNotFoundError as error:
            if extra and (error.name or "").partition(".")[0] in _EXTRA_MODULES:
                raise MissingExtraError(f"forewarn {name}", extra) from None
            raise
    except ForewarnError as error:
        print(f"forewarn: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`| head`); send the interpreter's last flush elsewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _tell_version() -> int:
    """Print the versions of the package and of the model that ships with it, each on a line."""
    # Slow to import, and nothing else here needs them.
    from importlib.metadata import version

    from forewarn.inference.bundle import Bundle

    print(f"forewarn {version('forewarn')}")
    try:
        print(f"model {Bundle.open().manifest['version']}")
    except ForewarnError as error:
        print(f"forewarn: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

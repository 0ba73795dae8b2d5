"""`forewarn bundle`: check, sign, release, update and convert bundles."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from forewarn.inference.bundle import Bundle, default_bundle_path
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import GateError
from forewarn.inference.golden import check_vectors
from forewarn.inference.update import rollback, source, update


def main(argv: Sequence[str]) -> int:
    """Run one of the subcommands; returns 0.

    Raises:
        BundleError: a damaged, foreign or unsigned bundle.
        GateError: the model does not give the golden vectors.
        ForewarnError: wrong use, or something that cannot be read.
    """
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    return run(args)


def _verify(args: argparse.Namespace) -> int:
    bundle = Bundle.open(args.bundle, args.key)
    classifier = ScamClassifier(bundle, threads=1)
    count, faults = check_vectors(bundle, classifier)
    if faults:
        raise GateError(f"{bundle.path}: {len(faults)} of {count} golden vectors differ: {'; '.join(faults[:3])}")
    size = sum(int(x["bytes"]) for x in bundle.manifest["files"].values())
    signed = "signed with this key" if args.key else "signature not asked for"
    right = f"checksums right, {signed}, {count} golden vectors right"
    print(f"{bundle.path}: {classifier.version}, {size / 1e6:.1f} MB, {right}")
    return 0


def _vectors(args: argparse.Namespace) -> int:
    from forewarn.export.vectors import write_vectors

    print(f"{args.out}: {write_vectors(args.bundle, args.out)} golden vectors")
    return 0


def _keygen(args: argparse.Namespace) -> int:
    from forewarn.export.release import new_key

    public = new_key(args.file)
    print(f"private key: {args.file} (keep it off every server and out of every repository)", file=sys.stderr)
    print("public key, to pin in what opens the bundle:", file=sys.stderr)
    print(public)  # alone on standard output, for KEY=$(forewarn bundle keygen FILE)
    return 0


def _sign(args: argparse.Namespace) -> int:
    from forewarn.export.release import sign

    print(f"{args.bundle}: signed; public key {sign(args.bundle, args.key)}")
    return 0


def _pack(args: argparse.Namespace) -> int:
    from forewarn.export.release import pack

    sizes = pack(args.bundle, args.to)
    step = f"; an update from the version before {sizes['delta'] / 1e6:.1f} MB" if sizes["delta"] >= 0 else ""
    print(f"{args.to}: first download {sizes['objects'] / 1e6:.1f} MB of {sizes['bytes'] / 1e6:.1f} MB{step}")
    return 0


def _update(args: argparse.Namespace) -> int:
    done = update(args.bundle, source(args.source), args.version, args.key)
    print(
        f"{args.bundle}: {done.before or 'nothing'} -> {done.after}, fetched {done.fetched / 1e6:.2f} MB of "
        f"{done.size / 1e6:.1f} MB"
    )
    return 0


def _rollback(args: argparse.Namespace) -> int:
    print(f"{args.bundle}: back to {rollback(args.bundle)}")
    return 0


def _ort(args: argparse.Namespace) -> int:
    from forewarn.export.release import convert_to_ort

    for path in convert_to_ort(args.bundle, args.out):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forewarn bundle", description="Check, sign, release and update bundles.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        command.set_defaults(run=run)
        return command

    shipped = default_bundle_path()
    verify = add("verify", _verify, "check format, checksums, signature and golden vectors")
    verify.add_argument("bundle", type=Path, nargs="?", help="a folder or .zip (default: the one that ships)")
    verify.add_argument("--key", metavar="BASE64", help="the public key that must have signed it")
    vectors = add("vectors", _vectors, "write the golden vectors of a bundle's model")
    vectors.add_argument("bundle", type=Path, nargs="?", default=shipped, help="default: the one that ships")
    vectors.add_argument("--out", type=Path, required=True, help="the file to write")
    keygen = add("keygen", _keygen, "make a key to sign bundles with")
    keygen.add_argument("file", type=Path, help="where the private key goes")
    sign = add("sign", _sign, "sign a bundle's manifest (Ed25519)")
    sign.add_argument("bundle", type=Path, help="a folder")
    sign.add_argument("--key", type=Path, metavar="FILE", required=True, help="the private key")
    pack = add("pack", _pack, "add a bundle to a release folder that updates come from")
    pack.add_argument("bundle", type=Path, help="a folder")
    pack.add_argument("--to", type=Path, metavar="DIR", required=True, help="the release folder")
    change = add("update", _update, "bring an installed bundle to another version, fetching what changed")
    change.add_argument("bundle", type=Path, help="the folder of the installed bundle; may not be there yet")
    change.add_argument("--from", dest="source", metavar="DIR|URL", required=True, help="the release folder")
    change.add_argument("--version", help="default: the latest")
    change.add_argument("--key", metavar="BASE64", help="the public key that must have signed it")
    back = add("rollback", _rollback, "put the version back that the last update replaced")
    back.add_argument("bundle", type=Path, help="the folder of the installed bundle")
    ort = add("ort", _ort, "write model.ort and the operators that a reduced runtime needs")
    ort.add_argument("bundle", type=Path, nargs="?", default=shipped, help="default: the one that ships")
    ort.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    return parser

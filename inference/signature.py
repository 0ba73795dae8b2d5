"""Ed25519 signatures of a bundle's manifest, which holds the checksum of every other file (RFC 8032)."""

from __future__ import annotations

import base64
import binascii

from forewarn.inference.errors import BundleError, ForewarnError, MissingExtraError

SIGNATURE = "manifest.sig"
_KEY_BYTES = 32


def verify(manifest: bytes, signature: bytes, public_key: str) -> None:
    """Check that `signature` (raw, 64 bytes) is the key's on exactly these bytes.

    Args:
        manifest: manifest.json as it lies there.
        signature: manifest.sig.
        public_key: 32 bytes in base64, as `forewarn bundle keygen` prints it; pin it in the program that opens bundles.

    Raises:
        BundleError: it is not.
        ForewarnError: the key is none.
        MissingExtraError: the cryptography library is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ModuleNotFoundError:
        raise MissingExtraError("checking a signature", "bundle") from None
    try:
        key = base64.b64decode(public_key, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ForewarnError("the public key is not 32 bytes in base64; give what `forewarn bundle keygen` printed")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, manifest)
    except InvalidSignature:
        raise BundleError(
            "the bundle is not signed with this key (manifest.sig does not fit manifest.json); do not use it, get "
            "it again from where the key comes from"
        ) from None

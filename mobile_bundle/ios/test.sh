#!/usr/bin/env bash
# Builds the client and runs its tests on Linux, from the repository's root, as `make test-ios` does.
#
# Swift and ONNX Runtime's C library are packages of Debian 13, so they run in a Debian 13 that lies in a cache folder
# (3.4 GB; made on the first run). Where that cannot be, a line says so and nothing is tested.
set -euo pipefail
root=${XDG_CACHE_HOME:-$HOME/.cache}/forewarn/trixie
packages="swiftlang libonnxruntime-dev libssl-dev zlib1g-dev libc6-dev libstdc++-14-dev libxml2-dev"

skip() {
  echo "the iOS client was not tested: $1" >&2
  exit 0
}

in_root() {
  # With a /proc that goes when the command ends.
  unshare --mount bash -c 'mount -t proc proc "$0/proc" && exec chroot "$@"' "$root" "$root" "${@}"
}

install_into() {
  chroot "$1" apt-get update -qq &&
    # shellcheck disable=SC2086  # one argument a package
    DEBIAN_FRONTEND=noninteractive chroot "$1" apt-get install -y -qq --no-install-recommends $packages
}

[ "$(id -u)" = 0 ] || skip "only root can use a Debian 13 within this system"
unshare --mount true 2> /dev/null || skip "this machine lets nobody mount"
if ! [ -d "$root" ]; then
  command -v debootstrap > /dev/null ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; } > /dev/null 2>&1 ||
    skip "debootstrap is not here and cannot be installed"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | head -n 1)
  [ -n "$mirror" ] || skip "apt knows no mirror of Debian"
  echo "making $root, once"
  mkdir -p "$(dirname "$root")"
  rm -rf --one-file-system "$root.new"
  { debootstrap --variant=minbase trixie "$root.new" "$mirror" && install_into "$root.new"; } > "$root.log" 2>&1 ||
    skip "Debian 13 cannot be installed ($root.log says why)"
  mv "$root.new" "$root"
elif ! chroot "$root" dpkg --status $packages > /dev/null 2>&1; then
  install_into "$root" > "$root.log" 2>&1 || skip "its packages cannot be installed ($root.log says why)"
fi

# A release to update from, packed and signed with the program that developers use.
python=${PYTHON:-.venv/bin/python}
"$python" -c 'import cryptography' 2> /dev/null || "$python" -m pip install --quiet -c constraints.txt -e '.[bundle]'
"$python" mobile_bundle/ios/scripts/make_release.py > /dev/null

# The same layout as here, since the tests find the bundles by where they lie.
target=$root/srv/forewarn/mobile_bundle
mkdir -p "$target/ios" "$target/web/tests"
rm -rf "$target/standard" "$target/nano" "$target/ios/Package.swift" "$target/ios/Sources" "$target/ios/Tests"
cp -a mobile_bundle/standard mobile_bundle/nano "$target/"
cp -a mobile_bundle/ios/Package.swift mobile_bundle/ios/Sources mobile_bundle/ios/Tests "$target/ios/"
cp -a mobile_bundle/web/tests/fixture.json "$target/web/tests/"

swift=/usr/libexec/swift
libraries=$swift/lib/swift/linux:$swift/lib/swift/host
in_root env -i HOME=/root PATH="$swift/bin:/usr/bin:/bin" LD_LIBRARY_PATH="$libraries" \
  bash -c '
    set -euo pipefail
    cd /srv/forewarn/mobile_bundle/ios
    run="-c release -j 1 -Xswiftc -enable-testing --disable-swift-testing"
    swift build --build-tests $run
    # What loading costs shows only in a process that has done nothing else.
    swift test $run --skip-build --filter LoadingTests
    swift test $run --skip-build --skip LoadingTests
  ' 2>&1 | grep --line-buffered --invert-match --extended-regexp '^(Schema error: .*)?$'  # a thousand, of Debian's libonnx

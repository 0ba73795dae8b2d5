#!/usr/bin/env bash
# Compiles the core, the library and the sample and runs their tests, from the repository's root, as `make test-android`
# does.
#
# What library and sample are compiled against comes from Debian and the Python Package Index, and is kept in a cache
# folder (16 MB, made on the first run). What cannot be had is left out, and a line says what was then not compiled.
set -euo pipefail
android=mobile_bundle/android
out=build/android
cache=${XDG_CACHE_HOME:-$HOME/.cache}/forewarn/android
jars=${JARS:-/usr/share/java}  # where junit4.jar and hamcrest.jar are
python=${PYTHON:-.venv/bin/python}

skip() {
  echo "not tested of the Android client: $1" >&2
}

# have COMMAND PACKAGE: whether a command is here, or Debian's package of it can be installed.
have() {
  command -v "$1" > /dev/null ||
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"; } \
      > /dev/null 2>&1
}

# Android 6.0's API. Debian's package of it is for every release, but no longer in the index of each.
fetch_android() {
  local deb=pool/main/a/android-framework-23/libandroid-23-java_6.0.1%2br72-6_all.deb
  local sum=8af1b6df556971dda0a6da3536ea526a838e0c363afcdd454213d8bce94793e3 mirror
  [ -f "$cache/android-23.jar" ] && return
  apt-get update -qq
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | head -n 1)
  [ -n "$mirror" ] || return 1
  mkdir -p "$cache" && rm -rf "$cache/deb.new" "$cache/android.deb" &&
    /usr/lib/apt/apt-helper download-file "${mirror%/}/$deb" "$cache/android.deb" "SHA256:$sum" &&
    dpkg-deb --extract "$cache/android.deb" "$cache/deb.new" &&
    mv "$cache/deb.new/usr/share/java/com.android.android-23.jar" "$cache/android-23.jar" &&
    rm -rf "$cache/deb.new" "$cache/android.deb"
}

# compile FOLDER CLASSPATH TARGET FLAG...: what lies in a folder, where no warning may be.
compile() {
  mkdir -p "$3"
  find "$1" -name '*.java' -print0 | xargs -0 javac -encoding UTF-8 -Werror -cp "$2" -d "$3" "${@:4}"
}

# run_tests FOLDER CLASSPATH FLAG...
run_tests() {
  local classes
  classes=$(cd "$1" && find . -name '*Test.java' | sort | sed 's|^\./||; s|\.java$||; s|/|.|g')
  # shellcheck disable=SC2086  # one argument a class
  java "${@:3}" -cp "$2" org.junit.runner.JUnitCore $classes
}

if ! command -v javac > /dev/null || ! [ -f "$jars/junit4.jar" ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jdk-headless junit4
fi
rm -rf "$out"
junit=$jars/junit4.jar:$jars/hamcrest.jar

# The core. Android 8 has the library of Java 8; newer than that must not slip in.
core=$out/forewarn-client.jar
compile "$android/core/src/main" "" "$out/classes/core" --release 8 -Xlint:all,-options
jar --create --file "$core" -C "$out/classes/core" .
compile "$android/core/src/test" "$core:$junit" "$out/tests/core" --release 11 -Xlint:all
run_tests "$android/core/src/test/java" "$core:$junit:$out/tests/core"
ls -l "$core" | awk '{print "forewarn-client.jar: " $5 " bytes"}'

# The library.
if ! fetch_android > /dev/null 2>&1; then
  skip "library and sample were not compiled, since Debian's libandroid-23-java cannot be downloaded"
  exit 0
fi
sdk=$cache/android-23.jar
if ! "$python" "$android/scripts/onnxruntime_java.py" "$cache/onnxruntime" "$out/native"; then
  skip "library and sample were not compiled, since ONNX Runtime's Java library is not to be had here"
  exit 0
fi
onnxruntime=$cache/onnxruntime/classes
library=$out/forewarn-android.jar
compile "$android/library/src/main" "$core:$sdk:$onnxruntime" "$out/classes/library" --release 8 -Xlint:all,-options
jar --create --file "$library" -C "$out/classes/library" .
tests=$library:$core:$onnxruntime:$junit:$out/tests/core
compile "$android/library/src/test" "$tests" "$out/tests/library" --release 11 -Xlint:all
# With the variable that Forewarn.java sets on a phone, ONNX Runtime must leave no device id behind.
export ORT_DISABLE_TELEMETRY=1
XDG_CACHE_HOME=$out/traces \
  run_tests "$android/library/src/test/java" "$tests:$out/tests/library" -Donnxruntime.native.path="$out/native"
if [ -e "$out/traces" ]; then
  echo "ONNX Runtime wrote into its cache folder although its telemetry is off: $(ls "$out/traces")" >&2
  exit 1
fi
ls -l "$library" | awk '{print "forewarn-android.jar: " $5 " bytes"}'

# The sample.
if have kotlinc kotlin; then
  # -no-jdk, since the classes of Java are Android's too. The JVM warns of how kotlinc starts it.
  kotlinc -no-jdk -Werror -jvm-target 1.8 -cp "$sdk:$core:$library" -d "$out/classes/sample" \
    "$android/sample/src/main/kotlin" 2>&1 | { grep --invert-match noverify || true; }
else
  skip "the sample was not compiled, since Debian's kotlin cannot be installed"
fi

# The manifests, as Android's build tools read them.
if have aapt aapt; then
  for part in library sample; do
    mkdir -p "$out/manifests/$part"
    sed 's/<manifest/<manifest package="forewarn.'"$part"'"/; s/\${applicationId}/forewarn.'"$part"'/' \
      "$android/$part/src/main/AndroidManifest.xml" > "$out/manifests/$part/AndroidManifest.xml"
    aapt package -f -M "$out/manifests/$part/AndroidManifest.xml" -I "$sdk" -F "$out/manifests/$part.apk" > /dev/null
  done
else
  skip "the manifests were not read, since Debian's aapt cannot be installed"
fi

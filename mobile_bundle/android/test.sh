#!/usr/bin/env bash
# Builds the client's core and runs its tests, from the repository's root, as `make test-android` does.
set -euo pipefail
core=mobile_bundle/android/core/src
out=build/android
jars=${JARS:-/usr/share/java}  # where junit4.jar and hamcrest.jar are

if ! command -v javac > /dev/null || ! [ -f "$jars/junit4.jar" ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jdk-headless junit4
fi

rm -rf "$out"
mkdir -p "$out/classes" "$out/tests"
test_path=$out/forewarn-client.jar:$jars/junit4.jar:$jars/hamcrest.jar
# Android 8 has the library of Java 8; newer than that must not slip in.
find "$core/main" -name '*.java' -print0 |
  xargs -0 javac --release 8 -encoding UTF-8 -Xlint:all,-options -Werror -d "$out/classes"
jar --create --file "$out/forewarn-client.jar" -C "$out/classes" .
find "$core/test" -name '*.java' -print0 |
  xargs -0 javac --release 11 -encoding UTF-8 -Xlint:all -Werror -cp "$test_path" -d "$out/tests"
classes=$(cd "$core/test/java" && find . -name '*Test.java' | sort | sed 's|^\./||; s|\.java$||; s|/|.|g')
# shellcheck disable=SC2086  # one argument a class
java -cp "$test_path:$out/tests" org.junit.runner.JUnitCore $classes
ls -l "$out/forewarn-client.jar" | awk '{print "forewarn-client.jar: " $5 " bytes"}'

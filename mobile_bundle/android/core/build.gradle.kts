// Not run here: test.sh compiles and tests the same sources with javac.
plugins {
    `java-library`
}

group = "forewarn"

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

// The tests read the bundle and a fixture from the repository's root; test.sh runs them there.
sourceSets.named("test") { java.setSrcDirs(emptyList<String>()) }

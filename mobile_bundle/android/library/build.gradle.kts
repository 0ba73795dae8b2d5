// Not run here: test.sh compiles the same sources with javac, against Android 6.0's API and ONNX Runtime's classes.
plugins {
    id("com.android.library")
}

group = "forewarn"

android {
    namespace = "forewarn.android"
    compileSdk = 35
    defaultConfig {
        minSdk = 26 // java.nio.file and java.util.stream, which the core uses
        consumerProguardFiles("consumer-rules.pro")
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    sourceSets.named("test") { java.setSrcDirs(emptyList<String>()) } // run by test.sh, as the core's
}

dependencies {
    api(project(":core"))
    // 1.18 is the first that reads the bundle's model; take the newest.
    implementation("com.microsoft.onnxruntime:onnxruntime-android:1.27.0")
}

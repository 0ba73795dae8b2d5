// Not run here: test.sh compiles the same sources with kotlinc.
plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "forewarn.sample"
    compileSdk = 35
    defaultConfig {
        applicationId = "forewarn.sample"
        minSdk = 26
        targetSdk = 35
        versionCode = 1
        versionName = "1"
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    kotlinOptions { jvmTarget = "1.8" }
    // The bundle becomes assets/forewarn.
    sourceSets.named("main") { assets.srcDir(layout.buildDirectory.dir("assets").get().asFile) }
}

val copyBundle by tasks.registering(Copy::class) {
    from("../../standard")
    into(layout.buildDirectory.dir("assets/forewarn"))
}

tasks.named("preBuild") { dependsOn(copyBundle) }

dependencies {
    implementation(project(":library"))
}

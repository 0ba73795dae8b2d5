// Not run here. The core, the library and the sample as one build; or include("forewarn-core") and so on in your own.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "forewarn"
include(":core", ":library", ":sample")

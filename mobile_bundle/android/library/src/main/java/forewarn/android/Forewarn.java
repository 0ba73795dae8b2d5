package forewarn.android;

import android.content.Context;
import android.content.res.AssetManager;
import android.system.ErrnoException;
import android.system.Os;
import forewarn.client.Bundle;
import forewarn.client.BundleException;
import forewarn.client.BundleStore;
import forewarn.client.ForewarnException;
import forewarn.client.ScamClassifier;
import java.io.File;

/** Makes a bundle ready to score on this phone. Call it off the main thread: opening takes a moment. */
public final class Forewarn {
    /** The folder of the app's assets that the bundle lies in. */
    public static final String ASSETS = "forewarn";

    private static ScamClassifier shared;

    private Forewarn() {}

    /**
     * The classifier of the bundle in the app's assets, one a process.
     *
     * @throws BundleException if the app brings no bundle, or a damaged one.
     * @throws ForewarnException if there is no space for it.
     */
    public static synchronized ScamClassifier classifier(Context context) {
        if (shared == null) shared = classifier(bundle(context));
        return shared;
    }

    /**
     * The bundle in the app's assets, checked.
     *
     * <p>Assets have no path, so the first call after an install or an update copies it to where backups leave it
     * out, and deletes an older one.
     *
     * @throws BundleException if the app brings no bundle, or a damaged one.
     * @throws ForewarnException if there is no space for it.
     */
    public static Bundle bundle(Context context) {
        AssetManager assets = context.getAssets();
        BundleStore store = new BundleStore(home(context, "assets"));
        return store.open("assets/" + ASSETS, name -> assets.open(ASSETS + "/" + name));
    }

    /**
     * The classifier of a bundle in a .zip that you downloaded. The .zip is unpacked once, and takes the place of the
     * one that was opened so before; the classifier is made anew with each call, so keep it.
     *
     * @param publicKey the Ed25519 key that must have signed it, in base64, as {@code forewarn bundle keygen} prints
     *     it; pin it in the app.
     * @throws BundleException if it is damaged, foreign or not signed with this key.
     * @throws ForewarnException if the key is none, there is no space, or this phone cannot check Ed25519 signatures.
     */
    public static ScamClassifier classifier(Context context, File zip, String publicKey) {
        return classifier(new BundleStore(home(context, "downloaded"), publicKey).openZip(zip));
    }

    /**
     * The classifier of a bundle that you have opened yourself. It keeps its model in memory for as long as it lives,
     * so make one a process.
     *
     * @throws BundleException if the bundle's tokenizer, forewarnings or model cannot be used.
     */
    public static ScamClassifier classifier(Bundle bundle) {
        turnTelemetryOff();
        OnnxModel model = new OnnxModel(bundle.file("model.onnx"));
        try {
            return new ScamClassifier(bundle, model);
        } catch (RuntimeException e) {
            model.close();
            throw e;
        }
    }

    /**
     * ONNX Runtime's official builds send usage events and a device's id to their maker unless they find this variable
     * while they are loaded; {@code setTelemetry(false)} comes too late for the first of them.
     */
    private static void turnTelemetryOff() {
        try {
            Os.setenv("ORT_DISABLE_TELEMETRY", "1", true);
        } catch (ErrnoException e) {
            throw new ForewarnException("ONNX Runtime's telemetry cannot be turned off, so it is not used; try again");
        }
    }

    private static File home(Context context, String name) {
        return new File(new File(context.getNoBackupFilesDir(), "forewarn"), name);
    }
}

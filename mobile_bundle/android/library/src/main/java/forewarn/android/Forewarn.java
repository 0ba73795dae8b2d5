package forewarn.android;

import android.content.Context;
import android.content.res.AssetManager;
import android.system.ErrnoException;
import android.system.Os;
import forewarn.client.Bundle;
import forewarn.client.BundleException;
import forewarn.client.BundleStore;
import forewarn.client.ForewarnException;
import forewarn.client.HttpRelease;
import forewarn.client.Release;
import forewarn.client.ScamClassifier;
import forewarn.client.Updated;
import java.io.File;

/** Makes a bundle ready to score on this phone. Call it off the main thread: opening takes a moment. */
public final class Forewarn {
    /** The folder of the app's assets that the bundle lies in. */
    public static final String ASSETS = "forewarn";

    private static ScamClassifier shared;

    private Forewarn() {}

    /**
     * The classifier of the bundle in the app's assets, or of the newer one that {@link #update} brought; one a process
     * and bundle, so ask for it again after an update.
     *
     * @throws BundleException if the app brings no bundle, or a damaged one.
     * @throws ForewarnException if there is no space for it.
     */
    public static synchronized ScamClassifier classifier(Context context) {
        if (shared == null) shared = classifier(bundle(context));
        return shared;
    }

    /**
     * The bundle in the app's assets, or the newer one that {@link #update} brought, checked.
     *
     * <p>Assets have no path, so the first call after an install or an update copies it to where backups leave it
     * out, and deletes an older one.
     *
     * @throws BundleException if the app brings no bundle, or a damaged one.
     * @throws ForewarnException if there is no space for it.
     */
    public static Bundle bundle(Context context) {
        AssetManager assets = context.getAssets();
        return store(context).open("assets/" + ASSETS, name -> assets.open(ASSETS + "/" + name));
    }

    /**
     * Brings the bundle to the latest version of a release, over HTTP. {@link #classifier(Context)} gives the new one
     * from then on; the one before is kept for {@link #rollback}. See {@link #update(Context, Release, String)}.
     *
     * @param url of the folder that {@code forewarn bundle pack} made; the app needs the INTERNET permission.
     * @param publicKey the Ed25519 key that must have signed it, in base64, as {@code forewarn bundle keygen} prints
     *     it; pin it in the app.
     */
    public static Updated update(Context context, String url, String publicKey) {
        return update(context, new HttpRelease(url), publicKey);
    }

    /**
     * As {@link #update(Context, String, String)}, with the app's own HTTP client. It may run every day: where nothing
     * is newer it fetches the index alone. What changed is fetched and checked, and the model loaded once, before
     * anything is replaced; where anything fails, the old bundle stays.
     *
     * @throws BundleException if what came is damaged, not signed with the key, or cannot be used on this phone.
     * @throws ForewarnException if something cannot be fetched, there is no space, the key is none, or this phone
     *     cannot check Ed25519 signatures.
     */
    public static Updated update(Context context, Release release, String publicKey) {
        bundle(context); // what the app brings is what differences start from
        Updated done = store(context).update(release, publicKey, Forewarn::tryOut);
        if (done.isChanged) forgetShared();
        return done;
    }

    /**
     * Puts the bundle back that the last {@link #update} replaced; {@link #classifier(Context)} gives it from then on.
     *
     * @return the version that is there now.
     * @throws BundleException if it is damaged; nothing is changed then.
     * @throws ForewarnException if none is kept.
     */
    public static String rollback(Context context) {
        String version = store(context).rollback().version();
        forgetShared();
        return version;
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

    /** Loads a bundle's model and runs it once, so that one that cannot run here is found before it is put into use. */
    private static void tryOut(Bundle bundle) {
        turnTelemetryOff();
        try (OnnxModel model = new OnnxModel(bundle.file("model.onnx"))) {
            new ScamClassifier(bundle, model);
        }
    }

    /**
     * The next one who asks gets another classifier. Whoever holds the old one goes on with it, so its model is not
     * closed, and keeps its memory until the process ends.
     */
    private static synchronized void forgetShared() {
        shared = null;
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

    private static BundleStore store(Context context) {
        return new BundleStore(home(context, "assets"));
    }

    private static File home(Context context, String name) {
        return new File(new File(context.getNoBackupFilesDir(), "forewarn"), name);
    }
}

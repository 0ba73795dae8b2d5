package forewarn.sample

import android.os.Handler
import android.os.Looper
import android.service.notification.StatusBarNotification
import android.widget.Toast
import forewarn.android.ScamNotificationListener
import forewarn.client.Verdict

/** Warns of what messengers bring, once the person allows it in the system settings. */
class ScamListener : ScamNotificationListener() {
    // A real app posts a notification here, tagged with posted.key, so that a conversation is warned of in one place.
    // Android 8.0 wants a channel for it, which the API 23 that this sample is compiled with does not have.
    override fun onScam(posted: StatusBarNotification, verdict: Verdict) {
        val warning = verdict.forewarning ?: "This may be a scam."
        Handler(Looper.getMainLooper()).post { Toast.makeText(this, warning, Toast.LENGTH_LONG).show() }
    }
}

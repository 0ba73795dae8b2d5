package forewarn.android;

import android.app.Notification;
import android.service.notification.NotificationListenerService;
import android.service.notification.StatusBarNotification;
import android.util.Log;
import forewarn.client.ForewarnException;
import forewarn.client.ScamClassifier;
import forewarn.client.Verdict;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Judges the notifications of every messenger, once the person has allowed it in the system settings. Extend it, say
 * what a warning looks like, and name your class in the app's manifest; the sample shows both.
 *
 * <p>Each message is judged once, also where the notification of a conversation grows.
 */
public abstract class ScamNotificationListener extends NotificationListenerService {
    private final SeenMessages seen = new SeenMessages();
    private ExecutorService worker;

    /**
     * A message that is to be warned of. Called on a worker thread.
     *
     * @param posted the notification that it stands in; {@code posted.getKey()} stays the same for a conversation.
     * @param verdict never {@code ALLOW}; its forewarning is in the phone's language.
     */
    protected abstract void onScam(StatusBarNotification posted, Verdict verdict);

    /** What judges the messages; called on a worker thread. */
    protected ScamClassifier classifier() {
        return Forewarn.classifier(this);
    }

    @Override
    public void onCreate() {
        super.onCreate();
        worker = Executors.newSingleThreadExecutor();
    }

    @Override
    public void onDestroy() {
        worker.shutdownNow();
        super.onDestroy();
    }

    @Override
    public void onNotificationPosted(StatusBarNotification posted) {
        // Without this the app would answer its own warning with another one.
        if (posted.getPackageName().equals(getPackageName())) return;
        // A summary repeats what the notifications of its group say, and what is ongoing (a call, music) is no message.
        int flags = posted.getNotification().flags;
        if ((flags & (Notification.FLAG_GROUP_SUMMARY | Notification.FLAG_ONGOING_EVENT)) != 0) return;
        worker.execute(() -> judge(posted));
    }

    private void judge(StatusBarNotification posted) {
        List<NotificationText> texts = NotificationText.of(posted.getNotification());
        try {
            for (NotificationText message : texts) {
                String unseen = seen.unseen(posted.getKey(), message.text);
                if (unseen.isEmpty()) continue;
                Verdict verdict = classifier().score(unseen, Locale.getDefault().toLanguageTag(), message.sender);
                if (verdict.action != Verdict.Action.ALLOW) onScam(posted, verdict);
            }
        } catch (ForewarnException e) {
            // One line, which holds nothing of a message. Notifications go on coming without it.
            Log.e("forewarn", e.getMessage());
        }
    }
}

package forewarn.android;

import android.app.Service;
import android.content.Intent;
import android.os.Bundle;
import android.os.Handler;
import android.os.HandlerThread;
import android.os.IBinder;
import android.os.Message;
import android.os.Messenger;
import android.os.RemoteException;
import android.util.Log;
import forewarn.client.ForewarnException;
import forewarn.client.ScamClassifier;
import forewarn.client.Verdict;

/**
 * Judges messages for other apps of yours: bind it, and send its {@link Messenger} a {@link Message} with {@link #TEXT}
 * and {@code replyTo}. The answer has the question's {@code what} and {@code arg1}.
 *
 * <p>The library's manifest lets only apps ask that are signed with the same key and use the permission
 * {@code APPLICATION_ID.permission.SCREEN_MESSAGES}. Messages are judged on a worker thread, in the order they come in.
 */
public class ScreeningService extends Service {
    /** Question: the message's text, a String. */
    public static final String TEXT = "text";
    /** Question: the sender's number, short code, name or mail address, a String; may be left out. */
    public static final String NUMBER = "number";
    /** Question: the reader's language as a BCP 47 tag, a String; without it there is no forewarning. */
    public static final String LOCALE = "locale";

    /** Answer: whether to keep the message from the person, a boolean. */
    public static final String SHOULD_BLOCK = "shouldBlock";
    /** Answer: whether to warn of it, a boolean; also true of what is to be blocked. */
    public static final String SHOULD_WARN = "shouldWarn";
    /** Answer: the kind of scam, such as {@code parcel_delivery}; null where there is nothing to warn of. */
    public static final String REASON = "reason";
    /** Answer: what the trick is and what to do instead, in the reader's language; may be null. */
    public static final String FOREWARNING = "forewarning";
    /** Answer: the calibrated probability of a scam, a double from 0 to 1. */
    public static final String RISK = "risk";
    /** Answer: why the message could not be judged, one line; null where it was. */
    public static final String ERROR = "error";

    private HandlerThread thread;
    private Messenger messenger;

    /** What judges the messages; called on a worker thread. */
    protected ScamClassifier classifier() {
        return Forewarn.classifier(this);
    }

    @Override
    public void onCreate() {
        super.onCreate();
        thread = new HandlerThread("forewarn-screening");
        thread.start();
        messenger = new Messenger(new Handler(thread.getLooper(), asked -> {
            answer(asked);
            return true;
        }));
    }

    @Override
    public IBinder onBind(Intent intent) {
        return messenger.getBinder();
    }

    @Override
    public void onDestroy() {
        thread.quitSafely();
        super.onDestroy();
    }

    private void answer(Message asked) {
        if (asked.replyTo == null) return;
        Message reply = Message.obtain(null, asked.what, asked.arg1, 0);
        reply.setData(judge(asked.getData()));
        try {
            asked.replyTo.send(reply);
        } catch (RemoteException e) {
            // Who asked is gone; nobody waits for the answer.
        }
    }

    private Bundle judge(Bundle question) {
        Bundle answer = new Bundle();
        try {
            Verdict verdict = classifier()
                    .score(question.getString(TEXT, ""), question.getString(LOCALE), question.getString(NUMBER));
            boolean isAllowed = verdict.action == Verdict.Action.ALLOW;
            answer.putBoolean(SHOULD_BLOCK, verdict.action == Verdict.Action.BLOCK);
            answer.putBoolean(SHOULD_WARN, !isAllowed);
            answer.putString(REASON, isAllowed ? null : verdict.type);
            answer.putString(FOREWARNING, verdict.forewarning);
            answer.putDouble(RISK, verdict.risk);
        } catch (ForewarnException e) {
            // One line, which holds nothing of the message.
            Log.e("forewarn", e.getMessage());
            answer.putString(ERROR, e.getMessage());
        }
        return answer;
    }
}

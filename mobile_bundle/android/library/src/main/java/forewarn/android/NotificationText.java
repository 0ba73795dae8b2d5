package forewarn.android;

import android.app.Notification;
import android.os.BadParcelableException;
import android.os.Bundle;
import android.os.Parcelable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** A message in a notification, and who sent it as far as the notification says. */
final class NotificationText {
    // Of Notification.MessagingStyle, which Android has had since 7.0 (API 24).
    private static final String MESSAGES = "android.messages";
    private static final String MESSAGE_TEXT = "text";
    private static final String MESSAGE_SENDER = "sender";

    final String text;
    /** May be null. */
    final String sender;

    private NotificationText(CharSequence text, CharSequence sender) {
        this.text = text.toString();
        this.sender = sender == null ? null : sender.toString();
    }

    /** The messages that a notification shows: one by one where it lists them, else its text; may be none. */
    static List<NotificationText> of(Notification notification) {
        try {
            return of(notification.extras);
        } catch (BadParcelableException e) {
            // It holds an object of a class that only its own app has.
            return Collections.emptyList();
        }
    }

    private static List<NotificationText> of(Bundle extras) {
        // A messenger's title is the sender: a name of the address book, or else the number.
        CharSequence title = extras.getCharSequence(Notification.EXTRA_TITLE);
        List<NotificationText> texts = new ArrayList<>();
        Parcelable[] messages = extras.getParcelableArray(MESSAGES);
        if (messages != null) {
            for (Parcelable item : messages) {
                if (!(item instanceof Bundle)) continue;
                Bundle message = (Bundle) item;
                CharSequence sender = message.getCharSequence(MESSAGE_SENDER);
                // One without a sender is the person's own.
                if (sender != null) add(texts, message.getCharSequence(MESSAGE_TEXT), sender);
            }
        }
        CharSequence[] lines = extras.getCharSequenceArray(Notification.EXTRA_TEXT_LINES);
        if (texts.isEmpty() && lines != null) for (CharSequence line : lines) add(texts, line, title);
        if (texts.isEmpty()) add(texts, extras.getCharSequence(Notification.EXTRA_BIG_TEXT), title);
        if (texts.isEmpty()) add(texts, extras.getCharSequence(Notification.EXTRA_TEXT), title);
        return texts;
    }

    private static void add(List<NotificationText> texts, CharSequence text, CharSequence sender) {
        if (text != null && text.length() > 0) texts.add(new NotificationText(text, sender));
    }
}

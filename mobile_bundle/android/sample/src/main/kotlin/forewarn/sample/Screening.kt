package forewarn.sample

import android.content.ComponentName
import android.content.Context
import android.content.Intent
import android.content.ServiceConnection
import android.os.Bundle
import android.os.Handler
import android.os.IBinder
import android.os.Looper
import android.os.Message
import android.os.Messenger
import android.os.RemoteException
import forewarn.android.ScreeningService

/**
 * Asks the screening service of an app that is signed with the same key. The asking app's manifest needs
 * `<uses-permission android:name="APPLICATION_ID.permission.SCREEN_MESSAGES" />`, and `APPLICATION_ID` in `<queries>`.
 *
 * @param applicationId of the app with the service.
 */
class Screening(private val context: Context, applicationId: String) : ServiceConnection {
    private val service = Intent().setComponent(ComponentName(applicationId, ScreeningService::class.java.name))
    private val waiting = HashMap<Int, (Bundle) -> Unit>()
    private var messenger: Messenger? = null
    private var asked = 0
    private val answers = Messenger(Handler(Looper.getMainLooper()) { answer ->
        waiting.remove(answer.arg1)?.invoke(answer.data)
        true
    })

    /** Connects; false where there is no such app, or the permission is missing. */
    fun bind(): Boolean = try {
        context.bindService(service, this, Context.BIND_AUTO_CREATE)
    } catch (e: SecurityException) {
        false
    }

    /** Disconnects. */
    fun unbind() = context.unbindService(this)

    /**
     * Asks about a message, on the main thread, and answers there too.
     *
     * @param answer gets [ScreeningService.SHOULD_BLOCK], [ScreeningService.REASON] and the others.
     * @return false where the service is not connected or gone; then nothing answers.
     */
    fun ask(text: String, number: String?, locale: String?, answer: (Bundle) -> Unit): Boolean {
        val service = messenger ?: return false
        val question = Message.obtain(null, 0, ++asked, 0)
        question.replyTo = answers
        question.data = Bundle().apply {
            putString(ScreeningService.TEXT, text)
            putString(ScreeningService.NUMBER, number)
            putString(ScreeningService.LOCALE, locale)
        }
        return try {
            service.send(question)
            waiting[asked] = answer
            true
        } catch (e: RemoteException) {
            false
        }
    }

    override fun onServiceConnected(name: ComponentName, binder: IBinder) {
        messenger = Messenger(binder)
    }

    override fun onServiceDisconnected(name: ComponentName) {
        messenger = null
        waiting.clear()
    }
}

package forewarn.sample

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import android.provider.Settings
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.TextView
import forewarn.android.Forewarn
import forewarn.client.ForewarnException
import forewarn.client.GoldenVectors
import forewarn.client.Verdict
import java.util.Locale
import kotlin.concurrent.thread

/** A field for a message, what forewarn says of it, and the way to the setting that lets it see notifications. */
class MainActivity : Activity() {
    private lateinit var result: TextView

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val message = EditText(this).apply { hint = "A message" }
        result = TextView(this)
        val column = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        column.addView(message)
        column.addView(button("Check it") { show { check(message.text.toString()) } })
        column.addView(button("Check this phone") { show { checkPhone() } })
        column.addView(button("Watch notifications") {
            startActivity(Intent(Settings.ACTION_NOTIFICATION_LISTENER_SETTINGS))
        })
        column.addView(result)
        setContentView(column)
    }

    private fun check(text: String): String {
        val verdict = Forewarn.classifier(this).explain(text, Locale.getDefault().toLanguageTag())
        if (verdict.action == Verdict.Action.ALLOW) return "Nothing to warn of."
        val because = verdict.evidence.joinToString { "\u201c${it.text}\u201d" }
        val type = "${verdict.type}, risk ${(100 * verdict.risk).toInt()} %"
        return "$type\n\n${verdict.forewarning ?: ""}\n\nBecause of: $because"
    }

    /** Whether this phone gives what every other platform gives; once on each new kind of device. */
    private fun checkPhone(): String {
        val bundle = Forewarn.bundle(this)
        val report = GoldenVectors.check(Forewarn.classifier(this), bundle.read("vectors.jsonl"))
        if (report.failures.isEmpty()) return "${report.count} golden vectors hold, ${report.worstLogit} away at most."
        return report.failures.joinToString("\n")
    }

    /** Opening the bundle and scoring are work for a thread of their own. */
    private fun show(text: () -> String) {
        thread {
            val shown = try {
                text()
            } catch (e: ForewarnException) {
                e.message ?: "unknown error"
            }
            runOnUiThread { result.text = shown }
        }
    }

    private fun button(label: String, click: () -> Unit) = Button(this).apply {
        text = label
        setOnClickListener { click() }
    }
}

"""Golden vectors: invented texts over many scripts and edge cases, with what the finished bundle makes of each.

Every client (Python, JavaScript, Swift, Kotlin) must reproduce them: normalised text and ids exactly, logits closely.
"""

from __future__ import annotations

import json
from pathlib import Path

from forewarn.inference.bundle import Bundle
from forewarn.inference.classifier import ScamClassifier
from tokenizers import Tokenizer

TEXTS: tuple[str, ...] = (
    # One or two invented messages a language, scam and honest.
    "Your parcel is held at customs. Pay 1.99 at parcel-fee.example/pay today",
    "Hi mum, my phone broke, this is my new number. Can you send 400 now?",
    "Are we still on for dinner at 7? I booked the corner table.",
    "Your code is 482913. Do not share it with anyone.",
    "URGENT! You have WON a $5,000 gift card!!! Claim at http://prize.example",
    "【快递通知】您的包裹地址有误,请点击 kuaidi.example 更新,否则将退回。",
    "妈,我今晚加班,晚点回家吃饭。",
    "【國稅局】您有一筆退稅尚未領取,請於今日內登入 tax.example",
    "お荷物のお届けにあがりましたが不在の為持ち帰りました。 http://post.example",
    "明日の会議は10時からです。よろしくお願いします。",
    "[국민건강보험] 건강검진 결과 확인 http://nhis.example",
    "오늘 저녁에 시간 괜찮아? 같이 밥 먹자.",
    "Tài khoản của bạn đã bị khóa. Xác minh tại nganhang.example",
    "Mẹ ơi con về muộn, mẹ ăn cơm trước nhé.",
    "บัญชีของคุณถูกระงับ กรุณายืนยันตัวตนที่ bank.example",
    "พรุ่งนี้เจอกันกี่โมงดี",
    "Selamat! Anda memenangkan hadiah Rp50.000.000. Hubungi wa.example",
    "Tahniah, bantuan tunai RM500 menanti anda. Daftar sekarang di bantuan.example",
    "Magandang araw po, may part-time job kami, kita hanggang 3000 bawat araw.",
    "आपका बिजली कनेक्शन आज रात काट दिया जाएगा। तुरंत 90000 00000 पर कॉल करें।",
    "माँ, मैं ठीक से पहुँच गया हूँ।",
    "আপনার বিকাশ অ্যাকাউন্ট বন্ধ হয়ে যাবে, পিন নম্বর দিন।",
    "உங்கள் கணக்கு முடக்கப்பட்டுள்ளது. உடனே சரிபார்க்கவும்.",
    "మీ ఖాతా బ్లాక్ చేయబడింది. వెంటనే ధృవీకరించండి.",
    "آپ کا انعام نکل آیا ہے، فوراً اس نمبر پر رابطہ کریں۔",
    "ابلاغیه قضایی شما صادر شد. مشاهده: sana.example",
    "تم تعليق بطاقتك البنكية، يرجى تحديث بياناتك عبر الرابط bank.example",
    "שלום, החבילה שלך ממתינה לתשלום מכס בסך 12.90 ש״ח: post.example",
    "Ваша карта заблокирована. Позвоните 8 800 000-00-00.",
    "Привет, заберёшь детей из школы сегодня?",
    "Ваш рахунок заблоковано, підтвердьте дані за посиланням.",
    "Ihr Paket konnte nicht zugestellt werden. Bitte Adresse prüfen: paket.example",
    "Grüße aus Köln, wir sehen uns übermorgen auf der Straße!",
    "Votre compte sera suspendu. Réglez l'amende à amende.example sous 24 h.",
    "Su cuenta ha sido bloqueada. Verifique aquí: banco.example ¡Hoy!",
    "A sua encomenda está retida na alfândega. Pague em correio.example",
    "La tua carta è stata bloccata, verifica subito su banca.example",
    "Twoja paczka została wstrzymana. Dopłać 1,20 zł: paczka.example",
    "İstanbul şubenizde IBAN doğrulaması gerekiyor, ışık hızında tıklayın.",
    "Hongera! Umeshinda milioni 5. Tuma pesa kwenye namba hii.",
    "သင့်အကောင့်ကို ပိတ်ထားပါသည်။ အတည်ပြုရန် နှိပ်ပါ။",
    "គណនីរបស់អ្នកត្រូវបានផ្អាក សូមបញ្ជាក់។",
    "ສະບາຍດີ ມື້ນີ້ເຈົ້າຢູ່ໃສ",
    "የባንክ ሂሳብዎ ታግዷል። አሁን ያረጋግጡ።",
    "Ο λογαριασμός σας ανεστάλη. ΕΠΙΒΕΒΑΙΩΣΤΕ ΑΜΕΣΩΣ, ΟΔΟΣ 5",
    "თქვენი ანგარიში დაბლოკილია",
    # Edge cases of tokenizers and clients.
    "",
    " ",
    "\t \n",
    "\u200b\u200d\ufeff",
    "a",
    "?",
    "1234567890",
    "😀🎁💰",
    "👨\u200d👩\u200d👧\u200d👦 🇸🇬 👍🏽 ❤️",
    "Cl🔥ick h🎁ere n💰ow",
    "cafe\u0301 de\u0301ja\u0300 vu",
    "\u32ff \U0001ccd6\U0001fbf5 \u212b",  # normalised only by newer tables of Unicode than a client may have
    "caf\u00e9 d\u00e9j\u00e0 vu",
    "q\u0323\u0307 and q\u0307\u0323",
    "ệ \u0065\u0302\u0323 \u0065\u0323\u0302 \u1eb9\u0302",
    "Z\u0351\u036b\u0343a\u0335l\u0321g\u0334o",
    "ﻣﺮﺣﺒﺎ \u202eabc\u202c \u200fعربي\u200e",
    "acc\u200bount ver\u200cify log\u2060in sh\u00ady",
    "Ｆｒｅｅ　ｇｉｆｔ　１００％",
    "ﬁnance ﬀ ① ² ½ ㈱ ㌔ ｶﾞｷﾞ",
    "ΑΣ ΟΔΥΣΣΕΥΣ ẞ İI ıi Ǆ",
    "Раураl ассоunt lосkеd",
    "c l i c k   h e r e",
    "fr33 m0n3y @ cl1ck",
    "A\u00a0B\u2003C\u3000D\u2028E",
    "line one\nline two\r\nline three",
    "https://user:pass@sub.example.co/a/b?c=d&e=%F0%9F%98%80#f",
    "[CLS] not a special token [SEP] [PAD] [MASK]",
    "▁▁ underline piece ▁",
    "한글 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "क\u093c \u0958 ড\u09bc \u09dc",
    "𝓕𝓻𝓮𝓮 𝔾𝕚𝕗𝕥 🅵🆁🅴🅴",
    "𐍈 𠮷 \U0001f9ff \ue000",
    "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
    "win " * 400,
    "请立即转账到安全账户。" * 80,
    "भुगतान करें " * 150,
    # Longer than the model reads at once: honest all along but for one window, the middle one or the last.
    "The meeting notes of Tuesday are in the folder, thanks to all of you who came and helped. " * 12
    + "Your parcel is held at customs, pay the fee of 1.95 today at https://parcel-fee.example/pay or it goes back. "
    + "We looked at the garden, the roof and the new kitchen, and lunch was good. " * 14,
    "昨天开会的记录放在文件夹里了，谢谢大家来帮忙，下周二同一时间再见，记得带上材料。" * 14
    + "您涉嫌洗钱，请立即把存款转到公安局的安全账户，不要告诉任何人。",
)


def write_vectors(bundle: Path, target: Path) -> int:
    """Run every text through a finished bundle and write `vectors.jsonl`; returns how many.

    Each text is scored alone, since dynamic quantisation lets the other messages of a batch move the logits.
    """
    classifier = ScamClassifier.load(bundle, threads=1)
    normaliser = Tokenizer.from_buffer(Bundle.open(bundle).read("tokenizer.json")).normalizer
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for text in TEXTS:
            vector = {
                "text": text,
                "normalised": normaliser.normalize_str(text) if normaliser else text,
                "ids": classifier.ids(text),
                "logits": [round(float(x), 5) for x in classifier.logits([text])[0]],
                "verdict": classifier.score([text])[0].to_dict(),
            }
            out.write(json.dumps(vector, ensure_ascii=False) + "\n")
    return len(TEXTS)

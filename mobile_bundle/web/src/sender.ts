/**
 * What a sender adds to a verdict: a small, bounded push, and only upwards.
 *
 * Names and short codes are forged every day, so no sender makes a message safer. A private number or a mail address
 * that speaks for a bank, an office or a courier is what such senders do not use, and a number from abroad is one more
 * step.
 * The sizes are those of the Python library (inference/sender.py).
 */

import { SPACES } from "./text.js";

/** Types in which an institution speaks; a real one has a name or a short code. */
export const INSTITUTIONAL: ReadonlySet<string> = new Set([
  "authority_impersonation",
  "tax_rebate",
  "bank_alert",
  "account_takeover",
  "parcel_delivery",
  "bill_or_fine",
  "refund_service",
  "loan",
  "prize",
  "transactional",
  "public_notice",
  "promotion",
]);

const PRIVATE_FOR_INSTITUTION = 1; // log-odds
const FROM_ABROAD = 0.7;
const LONGEST_SHORT_CODE = 6;
const IGNORED = new RegExp(`[${SPACES}().\\-\\u2010-\\u2015/\\u200e\\u200f\\u202a-\\u202e]+`, "g");

/** Country calling codes (ITU-T E.164 annex) of the regions that the training data covers, and their neighbours. */
export const CALLING_CODES: ReadonlyMap<string, string> = new Map(
  (
    "AE 971 AR 54 AT 43 AU 61 BA 387 BD 880 BE 32 BN 673 BR 55 CA 1 CH 41 CL 56 CN 86 CO 57 CY 357 CZ 420 DE 49 " +
    "DK 45 DZ 213 EG 20 ES 34 ET 251 FI 358 FR 33 GB 44 GH 233 GR 30 HK 852 HR 385 HU 36 ID 62 IE 353 IL 972 IN 91 " +
    "IQ 964 IR 98 IT 39 JO 962 JP 81 KE 254 KH 855 KR 82 KW 965 KZ 7 LA 856 LB 961 LK 94 MA 212 ME 382 MM 95 MO 853 " +
    "MX 52 MY 60 NG 234 NL 31 NO 47 NP 977 NZ 64 OM 968 PE 51 PH 63 PK 92 PL 48 PT 351 QA 974 RO 40 RS 381 RU 7 " +
    "SA 966 SE 46 SG 65 TH 66 TR 90 TW 886 TZ 255 UA 380 UG 256 US 1 VN 84 ZA 27"
  )
    .match(/[A-Z]+ \d+/g)!
    .map((entry) => entry.split(" ") as [string, string]),
);

/**
 * What a sender adds to the log-odds of scam; 0 without one, never negative.
 *
 * @param sender - as the network gave it: a number, a short code, a name, or a mail address.
 * @param type - the verdict's leaf.
 * @param locale - BCP 47 tag of the person who was written to; its region decides what is abroad.
 */
export function senderLogOdds(sender: string | null | undefined, type: string, locale?: string | null): number {
  if (!sender) return 0;
  const plain = sender.replace(IGNORED, "");
  const number = plain.replace(/^\+/, "");
  const isNumber = /^\p{Nd}+$/u.test(number) && Array.from(number).length > LONGEST_SHORT_CODE;
  const isPrivate = isNumber || plain.includes("@");
  const added = isPrivate && INSTITUTIONAL.has(type) ? PRIVATE_FOR_INSTITUTION : 0;
  return isNumber && isAbroad(plain, locale) ? added + FROM_ABROAD : added;
}

/** A probability after its log-odds have been added to; 0 and 1 stay what they are. */
export function moved(risk: number, added: number): number {
  if (added === 0 || !(risk > 0 && risk < 1)) return risk;
  const odds = (risk / (1 - risk)) * Math.exp(added);
  return odds / (1 + odds);
}

/** Whether a number in international form is of another country than the locale's region; false where unknown. */
function isAbroad(plain: string, locale: string | null | undefined): boolean {
  const parts = (locale ?? "").split(/[-_]/).slice(1);
  const region = parts.find((part) => /^\p{L}{2}$/u.test(part))?.toUpperCase() ?? "";
  const home = CALLING_CODES.get(region);
  const international = plain.replace(/^(?:\+|00)/, "");
  return home !== undefined && international !== plain && !international.startsWith(home);
}

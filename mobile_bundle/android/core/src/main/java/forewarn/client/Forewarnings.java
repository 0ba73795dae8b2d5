package forewarn.client;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** The texts of forewarnings.json: what a trick is and what to do instead, by leaf and language. */
final class Forewarnings {
    private final Map<String, Map<String, String>> byLeaf = new HashMap<>();

    /**
     * Reads the content of a forewarnings.json.
     *
     * @throws BundleException if it is none.
     */
    Forewarnings(byte[] json) {
        try {
            for (Map.Entry<?, ?> leaf : ((Map<?, ?>) Json.parse(json)).entrySet()) {
                Map<String, String> texts = new HashMap<>();
                for (Map.Entry<?, ?> text : ((Map<?, ?>) leaf.getValue()).entrySet()) {
                    texts.put(((String) text.getKey()).toLowerCase(Locale.ROOT), (String) text.getValue());
                }
                byLeaf.put((String) leaf.getKey(), texts);
            }
        } catch (IllegalArgumentException | ClassCastException | NullPointerException e) {
            throw new BundleException("forewarnings.json is not {leaf: {locale: text}}; export the bundle again");
        }
    }

    /**
     * The text of the nearest locale: zh-Hant-TW, then zh-Hant, then zh, then en; null where there is none of them.
     *
     * @param locale a BCP 47 tag in any case, with {@code -} or {@code _}.
     */
    String find(String leaf, String locale) {
        Map<String, String> texts = byLeaf.get(leaf);
        if (texts == null) return null;
        String tag = locale.trim().replace('_', '-').split("\\.", 2)[0].toLowerCase(Locale.ROOT);
        // Where the script is not said, these regions write traditional Chinese.
        if (tag.equals("zh-tw") || tag.equals("zh-hk") || tag.equals("zh-mo")) tag = tag.replace("zh-", "zh-hant-");
        while (!tag.isEmpty()) {
            if (texts.containsKey(tag)) return texts.get(tag);
            tag = tag.substring(0, Math.max(0, tag.lastIndexOf('-')));
        }
        return texts.get("en");
    }
}

package forewarn.client;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;

import java.util.Map;
import org.junit.Test;

public class ForewarningsTest {
    private static final byte[] CONTENT = Bundle.open(TestFiles.BUNDLE).read("forewarnings.json");

    private final Forewarnings forewarnings = new Forewarnings(CONTENT);

    @Test
    public void everyTextIsFoundByItsLeafAndLocale() {
        for (Map.Entry<?, ?> leaf : ((Map<?, ?>) Json.parse(CONTENT)).entrySet()) {
            for (Map.Entry<?, ?> text : ((Map<?, ?>) leaf.getValue()).entrySet()) {
                String found = forewarnings.find((String) leaf.getKey(), (String) text.getKey());
                assertEquals(text.getValue(), found);
            }
        }
    }

    @Test
    public void theNearestLocaleIsTaken() {
        String[][] near = {
            {"zh-Hant-TW", "zh-Hant"}, {"zh_TW", "zh-Hant"}, {"zh-hk", "zh-Hant"}, {"ZH-HANS-CN", "zh-Hans"},
            {"de_DE.UTF-8", "de"}, {"en-SG", "en"}, {"pt-BR", "pt"}, {"xx-YY", "en"}, {"", "en"}, {"-", "en"},
            {"zh-CN", "en"},
        };
        for (String[] pair : near) {
            assertEquals(pair[0], forewarnings.find("prize", pair[1]), forewarnings.find("prize", pair[0]));
        }
        assertNotNull(forewarnings.find("prize", "en"));
        assertNull(forewarnings.find("personal", "en"));
    }

    @Test
    public void otherContentIsRefused() {
        for (String content : new String[] {"", "[]", "{\"prize\": \"x\"}", "{\"prize\": {\"en\": 1}}", "null"}) {
            assertThrows(content, BundleException.class, () -> new Forewarnings(content.getBytes()));
        }
    }
}

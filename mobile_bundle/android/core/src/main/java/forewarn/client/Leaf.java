package forewarn.client;

import java.util.List;

/** One class of the model: its name, the verdict that it counts towards, and the human levers that it pulls. */
final class Leaf {
    final String name;
    final Verdict.Name verdict;
    final List<String> levers;

    Leaf(String name, Verdict.Name verdict, List<String> levers) {
        this.name = name;
        this.verdict = verdict;
        this.levers = levers;
    }
}

import java.util.ArrayList;
import java.util.List;

/** The arguments of one subcommand: names in their order, options anywhere between them. */
final class Args {
    private final List<String> words;

    Args(List<String> words) {
        this.words = new ArrayList<>(words);
    }

    /** Takes an option with a value, or null. */
    String option(String name) {
        int at = words.indexOf(name);
        if (at < 0) return null;
        if (at + 1 == words.size()) throw new Tool.Usage(name + " needs a value");
        words.remove(at);
        return words.remove(at);
    }

    long number(String name, long otherwise) {
        String text = option(name);
        if (text == null) return otherwise;
        try {
            return Long.parseLong(text.replace("_", ""));
        } catch (NumberFormatException e) {
            throw new Tool.Usage(name + " needs a number, not '" + text + "'");
        }
    }

    long neededNumber(String name) {
        if (!words.contains(name)) throw new Tool.Usage(name + " is missing");
        return number(name, 0);
    }

    boolean flag(String name) {
        return words.remove(name);
    }

    List<String> every(String name) {
        List<String> all = new ArrayList<>();
        for (String one = option(name); one != null; one = option(name)) all.add(one);
        return all;
    }

    /** Takes the next name. Options have to be taken before. */
    String next(String what) {
        if (words.isEmpty()) throw new Tool.Usage(what + " is missing");
        return words.remove(0);
    }

    void end() {
        if (!words.isEmpty()) throw new Tool.Usage("unknown: " + String.join(" ", words));
    }
}

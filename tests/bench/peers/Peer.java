/** The workloads of tally-bench in Java: w1, w2 DEPTH, w3, w4 M r|s [root], w5. */
public final class Peer {
    private static final class Node {
        Node a, b;
        long x, y;
    }

    private static final class Tree {
        Tree left, right;
    }

    private static final String NAME = "Java " + Runtime.version().feature() + " serial";
    private static int state = 12345;
    private static Node sink;
    private static Node[] kept;

    private static int next() {
        state = state * 1103515245 + 12345;
        return state >>> 1;
    }

    private static void put(String figure, double value, String unit) {
        System.out.printf("%s\t%s\t%.6g\t%s%n", figure, NAME, value, unit);
    }

    private static void putPeak(String workload) throws java.io.IOException {
        for (String line : java.nio.file.Files.readAllLines(java.nio.file.Path.of("/proc/self/status")))
            if (line.startsWith("VmHWM:"))
                put(workload + " peak RSS", Double.parseDouble(line.split("\\s+")[1]) / 1024, "MiB");
    }

    private static void churn() throws java.io.IOException {
        Node[] live = new Node[1024];
        int[] choices = new int[65536];
        for (int i = 0; i < choices.length; i++)
            choices[i] = next() >> 5 & 1023;
        long start = System.nanoTime();
        for (int i = 0; i < 50_000_000; i++) {
            Node node = new Node();
            node.x = node.y = i;
            live[choices[i & 65535]] = node;
        }
        put("W1 ns/pair", (System.nanoTime() - start) / 5e7, "ns");
        putPeak("W1");
        sink = live[3];
    }

    private static Tree tree(int depth) {
        Tree tree = new Tree();
        if (depth > 0) {
            tree.left = tree(depth - 1);
            tree.right = tree(depth - 1);
        }
        return tree;
    }

    private static int count(Tree tree) {
        return tree.left == null ? 1 : 1 + count(tree.left) + count(tree.right);
    }

    private static void trees(int depth) throws java.io.IOException {
        long start = System.nanoTime(), total = count(tree(depth + 1));
        Tree lasting = tree(depth);
        for (int small = 4; small <= depth; small += 2)
            for (int i = 0; i < 1 << (depth - small + 4); i++)
                total += count(tree(small));
        total += count(lasting);
        put("W2 depth" + depth + " time", (System.nanoTime() - start) / 1e9, "s");
        putPeak("W2 depth" + depth);
        System.err.println("check " + total);
    }

    private static void cycles() throws java.io.IOException {
        long start = System.nanoTime();
        for (int i = 0; i < 10_000_000; i++) {
            Node one = new Node(), other = new Node();
            one.x = other.x = i;
            one.a = other;
            other.a = one;
            sink = one;
        }
        put("W3 ns/cycle", (System.nanoTime() - start) / 1e7, "ns");
        putPeak("W3");
    }

    /** How many objects one holds, itself included; each is marked by its y. */
    private static int reachedFrom(Node one, int most) {
        Node[] waiting = new Node[most];
        int reached = 0, length = 0;
        one.y = -1;
        for (waiting[length++] = one; length > 0; reached++) {
            Node next = waiting[--length];
            for (Node end : new Node[] {next.a, next.b})
                if (end.y == 0) {
                    end.y = -1;
                    waiting[length++] = end;
                }
        }
        return reached;
    }

    private static void live(int millions, boolean random, boolean oneRoot) {
        int size = millions * 1_000_000;
        kept = new Node[size];
        for (int i = 0; i < size; i++)
            kept[i] = new Node();
        for (int i = 0; i < size; i++) {
            kept[i].a = kept[random ? next() % size : (i + 1) % size];
            kept[i].b = kept[random ? next() % size : (i + 2) % size];
        }
        if (oneRoot) {
            kept = new Node[] {kept[0]};
            size = reachedFrom(kept[0], size);
        }
        System.gc();
        long start = System.nanoTime();
        System.gc();
        String figure = "W4 " + (random ? "random " : "seq ") + millions + "M ns/obj";
        put(figure, (System.nanoTime() - start) / (double) size, "ns");
    }

    private static void dead() {
        int size = 1_000_000;
        kept = new Node[size];
        int[] order = new int[size];
        for (int i = 0; i < size; i++) {
            kept[i] = new Node();
            order[i] = i;
        }
        for (int i = size - 1; i > 0; i--) {
            int other = next() % (i + 1), held = order[i];
            order[i] = order[other];
            order[other] = held;
        }
        for (int i = 0; i < size; i++) {
            kept[order[i]].a = kept[order[(i + 1) % size]];
            kept[order[i]].b = kept[next() % size];
        }
        System.gc();
        long start = System.nanoTime();
        kept = null;
        System.gc();
        put("W5 ns/freed obj", (System.nanoTime() - start) / (double) size, "ns");
    }

    public static void main(String[] words) throws java.io.IOException {
        switch (words[0]) {
            case "w1" -> churn();
            case "w2" -> trees(Integer.parseInt(words[1]));
            case "w3" -> cycles();
            case "w4" -> live(Integer.parseInt(words[1]), words[2].equals("r"), words.length > 3);
            case "w5" -> dead();
            default -> System.exit(77);
        }
    }
}

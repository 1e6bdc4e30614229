import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.kafka.common.header.Header;

/** Lines of JSON, written straight into one buffer: a million records must not cost a million strings. */
final class Json {
    private final OutputStream out;
    private byte[] buffer = new byte[1 << 16];
    private int used;
    private boolean comma;

    Json(OutputStream out) {
        this.out = out;
    }

    Json open() {
        separate();
        put('{');
        comma = false;
        return this;
    }

    Json close() {
        put('}');
        comma = true;
        return this;
    }

    Json openList() {
        separate();
        put('[');
        comma = false;
        return this;
    }

    Json closeList() {
        put(']');
        comma = true;
        return this;
    }

    Json name(String name) {
        separate();
        quote(name);
        put(':');
        comma = false;
        return this;
    }

    Json value(String text) {
        separate();
        if (text == null) put("null");
        else quote(text);
        comma = true;
        return this;
    }

    Json value(boolean flag) {
        separate();
        put(flag ? "true" : "false");
        comma = true;
        return this;
    }

    Json value(long number) {
        separate();
        room(20);
        if (number < 0) {
            // Long.MIN_VALUE has no positive twin.
            put(Long.toString(number));
        } else {
            int digits = 1;
            for (long rest = number; rest >= 10; rest /= 10) digits++;
            used += digits;
            for (int at = used; digits > 0; digits--, number /= 10) buffer[--at] = (byte) ('0' + number % 10);
        }
        comma = true;
        return this;
    }

    /** Bytes as base64, or null. */
    Json value(byte[] bytes) {
        separate();
        if (bytes == null) {
            put("null");
        } else {
            byte[] text = Base64.getEncoder().encode(bytes);
            put('"');
            room(text.length);
            System.arraycopy(text, 0, buffer, used, text.length);
            used += text.length;
            put('"');
        }
        comma = true;
        return this;
    }

    Json headers(Iterable<Header> headers) {
        name("headers").openList();
        for (Header header : headers) {
            openList().value(header.key()).value(header.value()).closeList();
        }
        return closeList();
    }

    void endLine() {
        put('\n');
        comma = false;
        if (used > 1 << 20) flush();
    }

    void flush() {
        try {
            out.write(buffer, 0, used);
            out.flush();
        } catch (java.io.IOException e) {
            throw new UncheckedIOException(e);
        }
        used = 0;
    }

    private void separate() {
        if (comma) put(',');
    }

    private void quote(String text) {
        put('"');
        int plain = 0;
        while (plain < text.length()) {
            char c = text.charAt(plain);
            if (c < ' ' || c > '~' || c == '"' || c == '\\') break;
            plain++;
        }
        put(text.substring(0, plain));
        for (int i = plain; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c < ' ' || c > '~' || c == '"' || c == '\\') put(String.format("\\u%04x", (int) c));
            else put(c);
        }
        put('"');
    }

    private void put(char c) {
        room(1);
        buffer[used++] = (byte) c;
    }

    private void put(String ascii) {
        byte[] bytes = ascii.getBytes(StandardCharsets.ISO_8859_1);
        room(bytes.length);
        System.arraycopy(bytes, 0, buffer, used, bytes.length);
        used += bytes.length;
    }

    private void room(int more) {
        if (buffer.length - used < more) {
            buffer = java.util.Arrays.copyOf(buffer, Math.max(buffer.length * 2, used + more));
        }
    }
}

import io.confluent.connect.avro.AvroConverter;
import io.confluent.kafka.schemaregistry.client.MockSchemaRegistryClient;
import io.debezium.embedded.Connect;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;

/** Runs Debezium's engine on the SQL of folders and writes down what it emits. */
public class MakeGolden {
    private static final String MARKER = "zz_marker";

    private final int port;
    private final Path folder;
    private final String database;
    private final List<SourceRecord> records = Collections.synchronizedList(new ArrayList<>());
    private volatile String failure;

    public static void main(String[] arguments) throws Exception {
        boolean failed = false;
        for (int i = 1; i < arguments.length; i++) {
            Path folder = Path.of(arguments[i]);
            try {
                int count = new MakeGolden(Integer.parseInt(arguments[0]), folder).run();
                System.out.println("golden: " + folder.getFileName() + ": " + count + " records");
            } catch (Exception error) {
                failed = true;
                System.out.println("golden: " + folder.getFileName() + ": " + error);
                System.err.println("golden: failed");
            }
        }
        System.exit(failed ? 1 : 0);
    }

    private MakeGolden(int port, Path folder) throws IOException {
        this.port = port;
        this.folder = folder;
        this.database = properties("connector.properties").getProperty("database.dbname", "golden");
    }

    private int run() throws Exception {
        execute("postgres", "DROP DATABASE IF EXISTS " + database + " WITH (FORCE)");
        execute("postgres", "CREATE DATABASE " + database);
        execute(database, "CREATE TABLE public." + MARKER + " (id int PRIMARY KEY); "
                + "INSERT INTO public." + MARKER + " VALUES (0)");
        script("setup.sql");
        Properties options = options();
        ExecutorService executor = Executors.newSingleThreadExecutor();
        try (DebeziumEngine<ChangeEvent<SourceRecord, SourceRecord>> engine = engine(options)) {
            executor.execute(engine);
            boolean reads = options.getProperty("snapshot.mode", "initial").equals("initial");
            await("the start", () -> isStreaming(options) && (!reads || hasCome(0)));
            Properties waits = properties("harness.properties");
            for (int n = 1; Files.exists(folder.resolve("stream" + n + ".sql")); n++) {
                int number = n;
                script("stream" + n + ".sql");
                execute(database, "INSERT INTO public." + MARKER + " VALUES (" + n + ")");
                await("the marker after stream" + n + ".sql", () -> hasCome(number));
                Thread.sleep(Long.parseLong(waits.getProperty("phase.ms", "0")));
            }
            Thread.sleep(Long.parseLong(waits.getProperty("settle.ms", "300")));
        }
        executor.shutdown();
        executor.awaitTermination(30, TimeUnit.SECONDS);
        write();
        return records.size();
    }

    private Properties options() throws IOException {
        Properties options = properties("connector.properties");
        options.setProperty("name", folder.getFileName().toString());
        options.setProperty("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
        options.setProperty("offset.storage", "org.apache.kafka.connect.storage.MemoryOffsetBackingStore");
        options.setProperty("database.hostname", "127.0.0.1");
        options.setProperty("database.port", Integer.toString(port));
        options.setProperty("database.user", "postgres");
        options.setProperty("database.password", "none");
        options.setProperty("plugin.name", "pgoutput");
        options.setProperty("slot.name", "golden_" + System.nanoTime());
        options.setProperty("slot.drop.on.stop", "true");
        options.setProperty("poll.interval.ms", "50");
        String tables = options.getProperty("table.include.list");
        if (tables != null) {
            options.setProperty("table.include.list", tables + ",public\\." + MARKER);
        }
        return options;
    }

    private DebeziumEngine<ChangeEvent<SourceRecord, SourceRecord>> engine(Properties options) {
        return DebeziumEngine.create(Connect.class)
                .using(options)
                .using((DebeziumEngine.CompletionCallback) (success, message, error) -> {
                    if (!success) {
                        failure = message;
                    }
                })
                .notifying((batch, committer) -> {
                    for (ChangeEvent<SourceRecord, SourceRecord> event : batch) {
                        records.add(event.value());
                        committer.markProcessed(event);
                    }
                    committer.markBatchFinished();
                })
                .build();
    }

    private void await(String what, BooleanSupplier done) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!done.getAsBoolean()) {
            if (failure != null) {
                throw new IOException(failure);
            }
            if (System.nanoTime() > end) {
                throw new IOException(what + " did not come");
            }
            Thread.sleep(20);
        }
    }

    private boolean isStreaming(Properties options) {
        String sql = "SELECT active FROM pg_replication_slots WHERE slot_name = '"
                + options.getProperty("slot.name") + "' AND active";
        try (Connection connection = connect(database);
                var rows = connection.createStatement().executeQuery(sql)) {
            return rows.next();
        } catch (SQLException error) {
            return false;
        }
    }

    /** Whether the row of the marker is among the records, whatever a transformation made of it. */
    private boolean hasCome(int id) {
        synchronized (records) {
            return records.stream().anyMatch(record ->
                    record.topic().contains(MARKER) && has(record.key(), id)
                            || record.value() instanceof Struct value && isOfMarker(value)
                                    && has(value.get("after"), id));
        }
    }

    private static boolean isOfMarker(Struct value) {
        return value.schema().field("source") != null && value.schema().field("after") != null
                && value.getStruct("source").schema().field("table") != null
                && MARKER.equals(value.getStruct("source").getString("table"));
    }

    private static boolean has(Object row, int id) {
        return row instanceof Struct struct && struct.schema().field("id") != null
                && Integer.valueOf(id).equals(struct.get("id"));
    }

    private Properties properties(String name) throws IOException {
        Properties properties = new Properties();
        Path file = folder.resolve(name);
        if (Files.exists(file)) {
            try (var reader = Files.newBufferedReader(file)) {
                properties.load(reader);
            }
        }
        return properties;
    }

    private Connection connect(String database) throws SQLException {
        return DriverManager.getConnection(
                "jdbc:postgresql://127.0.0.1:" + port + "/" + database + "?user=postgres");
    }

    private void execute(String database, String sql) throws SQLException {
        try (Connection connection = connect(database)) {
            connection.createStatement().execute(sql);
        }
    }

    /** Statement by statement, each in a transaction of its own unless the script says otherwise. */
    private void script(String name) throws Exception {
        Process psql = new ProcessBuilder("psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
                "-p", Integer.toString(port), "-U", "postgres", "-d", database, "-f",
                folder.resolve(name).toString()).redirectErrorStream(true).start();
        String said = new String(psql.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (psql.waitFor() != 0) {
            throw new IOException(said);
        }
    }

    private void write() throws IOException {
        Writer writer = new Writer();
        StringBuilder lines = new StringBuilder();
        for (SourceRecord record : records) {
            lines.append(writer.line(record)).append('\n');
        }
        Files.writeString(folder.resolve("records.jsonl"), lines);
        Files.writeString(folder.resolve("schemas.jsonl"),
                String.join("\n", writer.schemas.values()) + "\n");
        Files.writeString(folder.resolve("outcome.json"), "{\"outcome\":\"ok\",\"records\":"
                + records.size() + ",\"schemas\":" + writer.schemas.size()
                + ",\"debezium\":\"" + io.debezium.connector.postgresql.Module.version()
                + "\",\"java\":" + quoted(System.getProperty("java.version")) + "}\n");
    }

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }

    /** Records as lines, with the schemas that they refer to. */
    private static final class Writer {
        private final MockSchemaRegistryClient registry = new MockSchemaRegistryClient();
        private final Map<String, String> ids = new HashMap<>();
        private final Map<String, String> schemas = new LinkedHashMap<>();
        private final Side keys = new Side(true);
        private final Side values = new Side(false);
        private int count;

        private final class Side {
            private final String name;
            private final AvroConverter avro = new AvroConverter(registry);
            private final JsonConverter plain = new JsonConverter();
            private final JsonConverter withSchema = new JsonConverter();

            Side(boolean key) {
                name = key ? "key" : "value";
                avro.configure(Map.of("schema.registry.url", "mock://golden"), key);
                plain.configure(Map.of("schemas.enable", "false"), key);
                withSchema.configure(Map.of("schemas.enable", "true"), key);
            }
        }

        String line(SourceRecord record) {
            StringBuilder line = new StringBuilder("{\"i\":").append(count++);
            line.append(",\"topic\":").append(quoted(record.topic())).append(",\"headers\":[");
            String comma = "";
            for (Header header : record.headers()) {
                String type = header.schema() == null ? "null" : header.schema().type().getName();
                line.append(comma).append("{\"key\":").append(quoted(header.key()))
                        .append(",\"schema\":").append(quoted(type))
                        .append(",\"value\":").append(text(header)).append('}');
                comma = ",";
            }
            line.append(']');
            side(keys, record.topic(), record.keySchema(), record.key(), line);
            side(values, record.topic(), record.valueSchema(), record.value(), line);
            return line.append('}').toString();
        }

        private String text(Header header) {
            byte[] json = values.plain.fromConnectData("", header.schema(), header.value());
            return json == null ? "null" : new String(json, StandardCharsets.UTF_8);
        }

        private void side(Side side, String topic, Schema schema, Object value, StringBuilder line) {
            String name = ",\"" + side.name;
            if (schema == null) {
                line.append(name).append("_schema\":null").append(name).append("\":null");
                return;
            }
            String connect = schemaText(side.withSchema.fromConnectData(topic, schema, value));
            String id = ids.computeIfAbsent(topic + side.name + connect,
                    unused -> (side == keys ? "K" : "V") + (ids.size() + 1));
            String start = "{\"id\":" + quoted(id) + ",\"topic\":" + quoted(topic) + ",\"side\":"
                    + quoted(side.name) + ",\"connect_json\":" + connect;
            byte[] json = side.plain.fromConnectData(topic, schema, value);
            line.append(name).append("_schema\":").append(quoted(id)).append(name).append("\":")
                    .append(json == null ? "null" : new String(json, StandardCharsets.UTF_8));
            try {
                byte[] avro = side.avro.fromConnectData(topic, schema, value);
                if (avro != null) {
                    int avroId = java.nio.ByteBuffer.wrap(avro, 1, 4).getInt();
                    String text = registry.getSchemaById(avroId).canonicalString();
                    schemas.put(id, start + ",\"avro_id\":" + avroId + ",\"avro\":" + text + "}");
                    line.append(name).append("_avro_hex\":\"")
                            .append(HexFormat.of().formatHex(avro)).append('"');
                }
            } catch (Exception error) {
                Throwable cause = error;
                while (cause.getCause() != null) {
                    cause = cause.getCause();
                }
                line.append(name).append("_avro_error\":").append(quoted(cause.toString()));
            }
            schemas.putIfAbsent(id, start + "}");
        }

        /** The value of the first key of {"schema":…,"payload":…}. */
        private static String schemaText(byte[] json) {
            String text = new String(json, StandardCharsets.UTF_8);
            int start = "{\"schema\":".length();
            int depth = 0;
            boolean quotes = false;
            for (int at = start; at < text.length(); at++) {
                char c = text.charAt(at);
                if (quotes && c == '\\') {
                    at++;
                } else if (c == '"') {
                    quotes = !quotes;
                } else if (!quotes && c == '{') {
                    depth++;
                } else if (!quotes && c == '}' && --depth == 0) {
                    return text.substring(start, at + 1);
                }
            }
            // A schema without braces: only null.
            return "null";
        }
    }
}

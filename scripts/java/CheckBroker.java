import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Checks the promises of the broker named by KAFKA_BROKERS with the original client. */
public final class CheckBroker {
    static final String BROKERS = System.getenv("KAFKA_BROKERS");
    static final String RUN = UUID.randomUUID().toString().substring(0, 8);
    static final Duration LIMIT = Duration.ofSeconds(60);
    static Admin admin;

    interface Case {
        void run() throws Exception;
    }

    public static void main(String[] arguments) {
        // In the order in which they are written down.
        Map<String, Case> cases = new java.util.LinkedHashMap<>();
        cases.put("nothing is lost with any compression", CheckBroker::nothingIsLost);
        cases.put("a group shares and goes on where it stopped", CheckBroker::groupShares);
        cases.put("offsets are found by time", CheckBroker::offsetsByTime);
        cases.put("aborted records are hidden", CheckBroker::abortedAreHidden);
        cases.put("open transactions hold readers back", CheckBroker::openHoldsBack);
        cases.put("offsets belong to the transaction", CheckBroker::offsetsInTransaction);
        cases.put("a zombie is fenced", CheckBroker::zombieIsFenced);
        cases.put("groups and topics are described and deleted", CheckBroker::administration);
        int failed = 0;
        admin = Admin.create(Map.of("bootstrap.servers", BROKERS));
        for (Map.Entry<String, Case> one : cases.entrySet()) {
            long start = System.nanoTime();
            try {
                one.getValue().run();
                double seconds = (System.nanoTime() - start) / 1e9;
                System.out.printf("ok      %s (%.1f s)%n", one.getKey(), seconds);
            } catch (Throwable error) {
                failed++;
                System.out.println("FAILED  " + one.getKey());
                error.printStackTrace(System.out);
            }
        }
        System.out.printf("kafka-clients: %d of %d cases hold%n", cases.size() - failed, cases.size());
        System.exit(failed == 0 ? 0 : 1);
    }

    static void check(boolean condition, Object what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static String topic(String name, int partitions) throws Exception {
        String unique = name + "-" + RUN;
        admin.createTopics(List.of(new NewTopic(unique, partitions, (short) 1))).all()
            .get(60, TimeUnit.SECONDS);
        return unique;
    }

    static KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(more);
        settings.put("bootstrap.servers", BROKERS);
        settings.put("max.block.ms", "60000");
        settings.putIfAbsent("linger.ms", "5");
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    static KafkaProducer<String, String> transactional(String id) {
        var producer = producer(Map.of("transactional.id", id + "-" + RUN));
        producer.initTransactions();
        return producer;
    }

    static KafkaConsumer<String, String> consumer(String group, Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(more);
        settings.put("bootstrap.servers", BROKERS);
        settings.put("group.id", group + "-" + RUN);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("session.timeout.ms", "6000");
        settings.put("heartbeat.interval.ms", "500");
        settings.put("partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    @SafeVarargs
    static List<ConsumerRecord<String, String>> poll(
            Predicate<List<ConsumerRecord<String, String>>> enough,
            KafkaConsumer<String, String>... consumers) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long end = System.nanoTime() + LIMIT.toNanos();
        while (!enough.test(records)) {
            check(System.nanoTime() < end, "only " + records.size() + " records in time");
            for (var one : consumers) {
                one.poll(Duration.ofMillis(50)).forEach(records::add);
            }
        }
        return records;
    }

    static List<String> values(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    static void nothingMore(KafkaConsumer<String, String> consumer) {
        var more = consumer.poll(Duration.ofMillis(1500));
        check(more.isEmpty(), "one too many");
    }

    static void produce(String topic, int from, int to, String compression) throws Exception {
        try (var producer = producer(Map.of("compression.type", compression))) {
            List<Future<?>> sent = new ArrayList<>();
            for (int number = from; number < to; number++) {
                String value = number + "x".repeat(300);
                var record = new ProducerRecord<>(topic, "" + number, value);
                record.headers().add("h", record.key().getBytes());
                sent.add(producer.send(record));
            }
            for (Future<?> one : sent) {
                one.get(60, TimeUnit.SECONDS);
            }
        }
    }

    static void nothingIsLost() throws Exception {
        int count = 20_000;
        for (String compression : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = topic("all-" + compression, 4);
            produce(topic, 0, count, compression);
            try (var consumer = consumer("all-" + compression, Map.of())) {
                consumer.subscribe(List.of(topic));
                var records = poll(got -> got.size() >= count, consumer);
                Set<Integer> keys = new TreeSet<>();
                for (var record : records) {
                    keys.add(Integer.valueOf(record.key()));
                    check(record.value().equals(record.key() + "x".repeat(300)), "value");
                    byte[] header = record.headers().lastHeader("h").value();
                    check(Arrays.equals(header, record.key().getBytes()), "header");
                }
                check(records.size() == count && keys.size() == count, "each once");
                Collection<TopicPartition> all = new ArrayList<>();
                consumer.partitionsFor(topic)
                    .forEach(p -> all.add(new TopicPartition(topic, p.partition())));
                long end = consumer.endOffsets(all).values().stream().mapToLong(o -> o).sum();
                check(end == count, "end offsets add up to " + end);
            }
        }
    }

    static void groupShares() throws Exception {
        String topic = topic("group", 4);
        produce(topic, 0, 1000, "none");
        var first = consumer("group", Map.of());
        var second = consumer("group", Map.of());
        first.subscribe(List.of(topic));
        var records = new ArrayList<>(poll(got -> got.size() >= 1000, first));
        check(first.assignment().size() == 4, "one member has all");
        first.commitSync(LIMIT);
        second.subscribe(List.of(topic));
        var twice = poll(
            got -> first.assignment().size() == 2 && second.assignment().size() == 2, first, second);
        check(twice.isEmpty(), "a record twice");
        produce(topic, 1000, 1400, "none");
        records.addAll(poll(got -> got.size() >= 400, first, second));
        Set<String> keys = new TreeSet<>();
        records.forEach(record -> keys.add(record.key()));
        check(records.size() == 1400 && keys.size() == 1400, "each once: " + records.size());
        first.commitSync(LIMIT);
        first.close();
        poll(got -> second.assignment().size() == 4, second);
        second.close();
    }

    static void offsetsByTime() throws Exception {
        String topic = topic("time", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (var producer = producer(Map.of()); var consumer = consumer("time", Map.of())) {
            for (int number = 0; number < 10; number++) {
                long time = 1_000_000 + number * 1000L;
                producer.send(new ProducerRecord<>(topic, 0, time, "k", "v")).get();
            }
            for (long[] pair : new long[][] {{0, 0}, {1_004_000, 4}, {1_004_001, 5}}) {
                var found = consumer.offsetsForTimes(Map.of(partition, pair[0])).get(partition);
                check(found != null && found.offset() == pair[1], "time " + pair[0] + ": " + found);
            }
            var after = consumer.offsetsForTimes(Map.of(partition, 2_000_000L)).get(partition);
            check(after == null, "nothing is that late: " + after);
        }
    }

    static void abortedAreHidden() throws Exception {
        String topic = topic("aborted", 1);
        try (var producer = transactional("aborted")) {
            for (String value : List.of("a", "b", "c")) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, value)).get();
                if (value.equals("b")) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
        Map<String, List<String>> levels = Map.of(
            "read_committed", List.of("a", "c"), "read_uncommitted", List.of("a", "b", "c"));
        for (var level : levels.entrySet()) {
            try (var consumer = consumer(level.getKey(), Map.of("isolation.level", level.getKey()))) {
                consumer.subscribe(List.of(topic));
                var got = values(poll(all -> all.size() >= level.getValue().size(), consumer));
                check(got.equals(level.getValue()), level.getKey() + ": " + got);
                nothingMore(consumer);
            }
        }
    }

    static void openHoldsBack() throws Exception {
        String topic = topic("open", 1);
        try (var producer = transactional("open");
                var consumer = consumer("open", Map.of("isolation.level", "read_committed"))) {
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, "a")).get();
            consumer.subscribe(List.of(topic));
            poll(got -> !consumer.assignment().isEmpty(), consumer);
            nothingMore(consumer);
            producer.commitTransaction();
            check(values(poll(got -> !got.isEmpty(), consumer)).equals(List.of("a")), "then it comes");
        }
    }

    static void offsetsInTransaction() throws Exception {
        String topic = topic("offsets", 1);
        String out = topic("out", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        produce(topic, 0, 5, "none");
        try (var producer = transactional("offsets"); var consumer = consumer("offsets", Map.of())) {
            consumer.subscribe(List.of(topic));
            poll(got -> got.size() >= 5, consumer);
            for (boolean commit : new boolean[] {false, true}) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(out, "x")).get();
                producer.sendOffsetsToTransaction(
                    Map.of(partition, new OffsetAndMetadata(consumer.position(partition))),
                    consumer.groupMetadata());
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
                var committed = Optional.ofNullable(consumer.committed(Set.of(partition)).get(partition));
                var wanted = commit ? Optional.of(5L) : Optional.empty();
                check(committed.map(OffsetAndMetadata::offset).equals(wanted), "committed " + committed);
            }
        }
    }

    static void zombieIsFenced() throws Exception {
        String topic = topic("zombie", 1);
        var zombie = transactional("zombie");
        zombie.beginTransaction();
        zombie.send(new ProducerRecord<>(topic, "zombie")).get();
        try (var heir = transactional("zombie")) {
            heir.beginTransaction();
            heir.send(new ProducerRecord<>(topic, "heir"));
            heir.commitTransaction();
        }
        try {
            zombie.commitTransaction();
            throw new AssertionError("the zombie commits");
        } catch (KafkaException error) {
            String name = error.getClass().getSimpleName();
            check(Set.of("ProducerFencedException", "InvalidProducerEpochException").contains(name), error);
        } finally {
            zombie.close(Duration.ZERO);
        }
        try (var consumer = consumer("zombie", Map.of("isolation.level", "read_committed"))) {
            consumer.subscribe(List.of(topic));
            var got = values(poll(all -> !all.isEmpty(), consumer));
            check(got.equals(List.of("heir")), "only the heir's: " + got);
            nothingMore(consumer);
        }
    }

    static void administration() throws Exception {
        String topic = topic("admin", 2);
        String group = "admin-" + RUN;
        var description = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        check(description.partitions().size() == 2, description);
        try (var consumer = consumer("admin", Map.of())) {
            consumer.subscribe(List.of(topic));
            poll(got -> consumer.assignment().size() == 2, consumer);
            consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0, "note")));
            var members = admin.describeConsumerGroups(List.of(group)).all().get().get(group).members();
            check(members.size() == 1, members);
        }
        boolean listed = admin.listGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group));
        check(listed, "the group is listed");
        var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        check(offsets.get(new TopicPartition(topic, 0)).metadata().equals("note"), offsets);
        admin.deleteConsumerGroups(List.of(group)).all().get();
        admin.deleteTopics(List.of(topic)).all().get();
        long end = System.nanoTime() + LIMIT.toNanos();
        while (admin.listTopics().names().get().contains(topic)) {
            check(System.nanoTime() < end, "the topic goes");
        }
    }
}

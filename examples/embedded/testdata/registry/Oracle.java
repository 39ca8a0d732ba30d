// Reads {"old":[schema...],"new":schema} line by line and adds what Confluent's own checker says:
// "allowed" with the levels under which "new" may follow "old" (oldest first), or "error" when one
// of the schemas is refused. README.md says how to run it.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.confluent.kafka.schemaregistry.CompatibilityChecker;
import io.confluent.kafka.schemaregistry.CompatibilityLevel;
import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

public class Oracle {
  static AvroSchema parse(JsonNode json) {
    AvroSchema schema = new AvroSchema(json.toString(), List.of(), Map.of(), null, true);
    schema.rawSchema();
    return schema;
  }

  public static void main(String[] arguments) throws Exception {
    ObjectMapper mapper = new ObjectMapper();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      ObjectNode history = (ObjectNode) mapper.readTree(line);
      try {
        AvroSchema next = parse(history.get("new"));
        List<AvroSchema> old = new ArrayList<>();
        for (JsonNode schema : history.get("old")) {
          old.add(parse(schema));
        }
        ArrayNode allowed = history.putArray("allowed");
        for (CompatibilityLevel level : CompatibilityLevel.values()) {
          if (CompatibilityChecker.checker(level).isCompatible(next, old).isEmpty()) {
            allowed.add(level.name());
          }
        }
      } catch (RuntimeException refused) {
        history.put("error", String.valueOf(refused.getMessage()));
      }
      System.out.println(mapper.writeValueAsString(history));
    }
  }
}

//! Kafka client properties: librdkafka's own names pass through, Java's are translated or left out.

use std::collections::BTreeMap;

/// Kafka client settings in librdkafka's names, without the bootstrap servers.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClientSettings {
    /// Bootstrap servers, `host:port` separated by commas.
    pub brokers: String,
    /// Properties for librdkafka, applied after the program's own.
    pub properties: BTreeMap<String, String>,
    /// Whether connections log in with IAM (`AWS_MSK_IAM` or our own `OAUTHBEARER` token).
    pub iam: bool,
}

/// Properties of Java clients that have no counterpart here because the program does it itself.
const JAVA_ONLY: [&str; 6] = [
    "sasl.jaas.config",
    "sasl.client.callback.handler.class",
    "sasl.login.callback.handler.class",
    "key.serializer",
    "value.serializer",
    "ssl.truststore.type",
];

impl ClientSettings {
    /// Settings from the prefixed keys of a connector and from the command line, which wins.
    #[must_use]
    pub fn new(
        brokers: String,
        prefixed: BTreeMap<String, String>,
        command_line: &[(String, String)],
    ) -> Self {
        let mut properties = prefixed;
        properties.extend(command_line.iter().cloned());
        let mechanism = properties
            .remove("sasl.mechanism")
            .or_else(|| properties.remove("sasl.mechanisms"))
            .unwrap_or_default();
        let callback = properties.get("sasl.client.callback.handler.class");
        // OAUTHBEARER with an endpoint of the user's own is librdkafka's business, not IAM.
        let own_oauth = properties.contains_key("sasl.oauthbearer.token.endpoint.url")
            || properties.contains_key("sasl.oauthbearer.config");
        let iam = mechanism == "AWS_MSK_IAM"
            || callback.is_some_and(|class| class.contains("IAM"))
            || (mechanism == "OAUTHBEARER" && !own_oauth);
        for key in JAVA_ONLY {
            properties.remove(key);
        }
        if iam {
            properties.insert("sasl.mechanism".to_owned(), "OAUTHBEARER".to_owned());
        } else if !mechanism.is_empty() {
            properties.insert("sasl.mechanism".to_owned(), mechanism);
        }
        Self { brokers, properties, iam }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn iam_as_java_clients_write_it_becomes_our_token() {
        let settings = ClientSettings::new(
            "b-1:9098".to_owned(),
            pairs(&[
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "AWS_MSK_IAM"),
                ("sasl.jaas.config", "software.amazon.msk.auth.iam.IAMLoginModule required;"),
            ]),
            &[],
        );
        assert!(settings.iam);
        assert_eq!(settings.properties["sasl.mechanism"], "OAUTHBEARER");
        assert!(!settings.properties.contains_key("sasl.jaas.config"));
    }

    #[test]
    fn the_command_line_wins() {
        let settings = ClientSettings::new(
            String::new(),
            pairs(&[("linger.ms", "1")]),
            &[("linger.ms".to_owned(), "7".to_owned())],
        );
        assert_eq!(settings.properties["linger.ms"], "7");
        assert!(!settings.iam);
    }
}

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
    /// Whose credentials those are, and of which region.
    pub iam_options: IamOptions,
}

/// The options of Java's `IAMLoginModule`, as its users have them in `sasl.jaas.config`, and the
/// region, which Java does not ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IamOptions {
    /// The cluster's region (`aws.region`); without it the broker's name tells.
    pub region: Option<String>,
    /// Credentials of this profile only (`awsProfileName`).
    pub profile: Option<String>,
    /// A role to assume (`awsRoleArn`).
    pub role_arn: Option<String>,
    /// The name of the role's session (`awsRoleSessionName`).
    pub session_name: Option<String>,
    /// What the role's trust policy asks for (`awsRoleExternalId`).
    pub external_id: Option<String>,
    /// The region whose STS is asked for the role (`awsStsRegion`).
    pub sts_region: Option<String>,
}

impl IamOptions {
    /// Reads `<class> required name="value" … ;`.
    fn from_jaas(text: &str) -> Self {
        let mut options = Self::default();
        let mut rest = text.trim_end().trim_end_matches(';');
        while let Some((before, after)) = rest.split_once('=') {
            let name = before.rsplit(char::is_whitespace).next().unwrap_or_default();
            let quoted = after.chars().next().filter(|c| matches!(c, '"' | '\''));
            let (value, next) = match quoted {
                Some(quote) => after
                    .get(1..)
                    .and_then(|inside| inside.split_once(quote))
                    .unwrap_or((after, "")),
                None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            };
            let option = match name {
                "awsProfileName" => &mut options.profile,
                "awsRoleArn" => &mut options.role_arn,
                "awsRoleSessionName" => &mut options.session_name,
                "awsRoleExternalId" => &mut options.external_id,
                "awsStsRegion" => &mut options.sts_region,
                _ => &mut None,
            };
            *option = Some(value.to_owned()).filter(|value| !value.is_empty());
            rest = next;
        }
        options
    }
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
        let mut iam_options = properties
            .get("sasl.jaas.config")
            .map_or_else(IamOptions::default, |text| IamOptions::from_jaas(text));
        iam_options.region = properties.remove("aws.region");
        for key in JAVA_ONLY {
            properties.remove(key);
        }
        if iam {
            properties.insert("sasl.mechanism".to_owned(), "OAUTHBEARER".to_owned());
        } else if !mechanism.is_empty() {
            properties.insert("sasl.mechanism".to_owned(), mechanism);
        }
        Self { brokers, properties, iam, iam_options }
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
    fn the_options_of_java_s_login_module_are_read() {
        let jaas = "software.amazon.msk.auth.iam.IAMLoginModule required\n \
             awsRoleArn=\"arn:aws:iam::1:role/a=b c\" awsRoleSessionName='x' \
             awsRoleExternalId=id awsDebugCreds=true  awsStsRegion=\"eu-west-1\";";
        let settings = ClientSettings::new(
            String::new(),
            pairs(&[
                ("sasl.mechanism", "AWS_MSK_IAM"),
                ("sasl.jaas.config", jaas),
                ("aws.region", "us-east-1"),
            ]),
            &[],
        );
        let expected = IamOptions {
            region: Some("us-east-1".to_owned()),
            profile: None,
            role_arn: Some("arn:aws:iam::1:role/a=b c".to_owned()),
            session_name: Some("x".to_owned()),
            external_id: Some("id".to_owned()),
            sts_region: Some("eu-west-1".to_owned()),
        };
        assert_eq!(settings.iam_options, expected);
        assert!(!settings.properties.contains_key("aws.region"));
        for broken in ["", ";", "=", "a=", "awsRoleArn=\"", "awsRoleArn= x", "awsRoleArn='é"] {
            let _ = IamOptions::from_jaas(broken);
        }
        assert_eq!(
            IamOptions::from_jaas("m required awsProfileName=p;").profile.as_deref(),
            Some("p")
        );
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

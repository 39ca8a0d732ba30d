//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Endpoints;

const EXAMPLES: &str = "\
Examples:
  full-pipeline                                   the demo: everything embedded, nothing to set up
  full-pipeline demo --scale 100 --keep           a larger database; stays up at the end
  full-pipeline demo --postgres-url 'postgresql://me:pw@db:5432/main?sslmode=verify-full&sslrootcert=ca.pem'
                                                  the same story on a database of your own
  full-pipeline services                          a broker and a registry for one machine
  full-pipeline run --source-config source.json --sink-config sink.json --brokers b1:9092
  full-pipeline source --source-config source.json --brokers b-1.x.kafka.eu-west-1.amazonaws.com:9098 \\
      -X security.protocol=SASL_SSL -X sasl.mechanism=AWS_MSK_IAM
  full-pipeline sink --sink-config sink.json --brokers b1:9092 --bucket s3://my-bucket

Exit codes: 0 done, 2 configuration, 3 Postgres, 4 Kafka, 5 registry, 6 object store, 7 data,
8 an embedded service, 9 the demo's story did not come out as told, 130 interrupted.";

/// Postgres changes to Debezium-identical Avro in Kafka to Confluent-identical objects.
#[derive(Debug, Parser)]
#[command(name = "full-pipeline", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[non_exhaustive]
pub struct Cli {
    /// What to run; without it the demo.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the demo when no command is given.
    #[command(flatten)]
    pub demo: DemoArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Play the whole story on a Northwind-shaped database and report it
    Demo(DemoArgs),
    /// Follow a database and publish its changes to Kafka
    Source(SourceArgs),
    /// Write the records of Kafka topics to objects
    Sink(SinkArgs),
    /// Source and sink in one process
    Run(RunArgs),
    /// Load the demo's database into any Postgres
    #[command(name = "load-demo", disable_help_flag = true)]
    LoadDemo(LoadDemoArgs),
    /// Serve an embedded schema registry
    Registry(RegistryArgs),
    /// Serve an embedded Kafka-protocol broker and schema registry
    Services(ServicesArgs),
}

/// Where the outside systems are.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct EndpointArgs {
    /// postgresql://user:password@host:port/database?sslmode=…&sslrootcert=…
    #[arg(long, env = "POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Option<String>,
    /// Kafka bootstrap servers, host:port separated by commas
    #[arg(long, env = "KAFKA_BROKERS")]
    pub brokers: Option<String>,
    /// Base URL of the schema registry, such as http://host:8081 or http://host/apis/ccompat/v6
    #[arg(long, env = "REGISTRY_URL", hide_env_values = true)]
    pub registry_url: Option<String>,
    /// A folder, or s3://bucket/prefix (region and credentials from AWS_… variables)
    #[arg(long)]
    pub bucket: Option<String>,
    /// A Kafka client property for producer and consumer, as librdkafka names it; may be repeated
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    pub client: Vec<(String, String)>,
    /// Unknown configuration keys are errors
    #[arg(long)]
    pub strict: bool,
}

impl EndpointArgs {
    /// The same without clap.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        Endpoints {
            postgres_url: self.postgres_url.clone(),
            brokers: self.brokers.clone(),
            registry_url: self.registry_url.clone(),
            bucket: self.bucket.clone(),
            client: self.client.clone(),
            strict: self.strict,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected key=value".to_owned()),
    }
}

/// Options of the demo.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct DemoArgs {
    /// Outside systems; what is not given is embedded.
    #[command(flatten)]
    pub endpoints: EndpointArgs,
    /// How many times Northwind the database is: 1 is 829 orders
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub scale: u32,
    /// Seed of the invented data
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What becomes of unchanged TOAST values that Postgres does not send
    #[arg(long, value_enum, default_value_t = Toast::Reselect)]
    pub toast: Toast,
    /// First part of every topic name
    #[arg(long, default_value = "ord")]
    pub topic_prefix: String,
    /// Leave everything running at the end and print the URLs
    #[arg(long)]
    pub keep: bool,
    /// Print the summary as JSON on standard output; the story goes to standard error
    #[arg(long)]
    pub json: bool,
}

/// Policies for unchanged TOAST values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Toast {
    /// Debezium's placeholder
    Placeholder,
    /// Read the row again
    Reselect,
    /// Stop
    Fail,
}

impl Toast {
    /// As `toast.policy` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder",
            Self::Reselect => "reselect",
            Self::Fail => "fail",
        }
    }
}

/// Options of `source`.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct SourceArgs {
    /// The source connector's JSON (or .properties) file
    #[arg(long)]
    pub source_config: PathBuf,
    /// Outside systems.
    #[command(flatten)]
    pub endpoints: EndpointArgs,
    /// Print the summary as JSON at the end
    #[arg(long)]
    pub json: bool,
}

/// Options of `sink`.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct SinkArgs {
    /// The sink connector's JSON (or .properties) file
    #[arg(long)]
    pub sink_config: PathBuf,
    /// Outside systems.
    #[command(flatten)]
    pub endpoints: EndpointArgs,
    /// Print the summary as JSON at the end
    #[arg(long)]
    pub json: bool,
}

/// Options of `run`.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct RunArgs {
    /// The source connector's JSON (or .properties) file
    #[arg(long)]
    pub source_config: PathBuf,
    /// The sink connector's JSON (or .properties) file
    #[arg(long)]
    pub sink_config: PathBuf,
    /// Outside systems.
    #[command(flatten)]
    pub endpoints: EndpointArgs,
    /// Print the summary as JSON at the end
    #[arg(long)]
    pub json: bool,
}

/// Options of `load-demo`, named as the original loader's.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: full-pipeline load-demo -h localhost -d main -u master")]
#[non_exhaustive]
pub struct LoadDemoArgs {
    /// Database host
    #[arg(short = 'h', long)]
    pub host: String,
    /// Database port
    #[arg(short = 'p', long, default_value_t = 5432)]
    pub port: u16,
    /// Database name
    #[arg(short = 'd', long)]
    pub dbname: String,
    /// Database user
    #[arg(short = 'u', long)]
    pub user: String,
    /// Password; asked for when it is not given and PGPASSWORD is not set
    #[arg(long, env = "PGPASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// disable, prefer, require, verify-ca or verify-full
    #[arg(long, default_value = "prefer")]
    pub sslmode: String,
    /// File with the certificates to trust
    #[arg(long)]
    pub sslrootcert: Option<String>,
    /// How many times Northwind the database is: 1 is 829 orders
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub scale: u32,
    /// Seed of the invented data
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Drop the demo's tables first
    #[arg(long)]
    pub drop: bool,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    pub help: Option<bool>,
}

const REGISTRY_EXAMPLES: &str = "\
Examples:
  full-pipeline registry                          in memory, on http://127.0.0.1:8081
  full-pipeline registry --file schemas.redb      in a file; every change is on the disk before it
                                                  is acknowledged
  full-pipeline registry --postgres-url postgresql://me@db/main
                                                  in the schema `registry` of a database, which
                                                  any number of registries can share
  REGISTRY_PASSWORD=secret full-pipeline registry --listen 0.0.0.0:8081 --auth-user me
                                                  for others, who must know the password

Prints its base URL on standard output. Clients may go on after it with /apis/ccompat/v6, v7 or v8;
/health answers 200.";

/// Options of `registry`.
#[derive(Debug, Clone, Args)]
#[command(after_help = REGISTRY_EXAMPLES)]
#[non_exhaustive]
pub struct RegistryArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// Compatibility level of subjects that have none of their own
    #[arg(long, default_value = "BACKWARD")]
    pub compatibility: String,
    /// Keep schemas in this file, which is made if it is not there
    #[arg(long, conflicts_with = "postgres_url")]
    pub file: Option<PathBuf>,
    /// Keep schemas in this database, in the schema `registry`
    #[arg(long, env = "REGISTRY_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Option<String>,
    /// Let in only this user, with the password of REGISTRY_PASSWORD
    #[arg(long, requires = "auth_password")]
    pub auth_user: Option<String>,
    /// The password; better given as REGISTRY_PASSWORD, which others cannot see
    #[arg(long, env = "REGISTRY_PASSWORD", hide_env_values = true, requires = "auth_user")]
    pub auth_password: Option<String>,
}

/// Options of `services`.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct ServicesArgs {
    /// Address of the broker
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub kafka_listen: SocketAddr,
    /// Address of the registry
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub registry_listen: SocketAddr,
    /// Folder of the broker's files; a temporary one when it is not given
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Flush every batch and committed offset to the disk before it is acknowledged; without it
    /// they survive the death of the process, not a power failure
    #[arg(long)]
    pub fsync: bool,
    /// Address that takes orders for faults over HTTP, such as POST /broker/delay?ms=200
    #[arg(long)]
    pub faults_listen: Option<SocketAddr>,
    /// Compatibility level of the registry's subjects that have none of their own
    #[arg(long, default_value = "NONE")]
    pub compatibility: String,
    /// End when standard input ends: for a parent process that may die
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_demo_runs_without_a_command() {
        let cli = Cli::parse_from(["full-pipeline", "--scale", "3", "--json"]);
        assert!(cli.command.is_none());
        assert_eq!((cli.demo.scale, cli.demo.json), (3, true));
    }

    #[test]
    fn the_loader_takes_the_originals_options() {
        let cli = Cli::parse_from([
            "full-pipeline",
            "load-demo",
            "-h",
            "db",
            "-p",
            "1",
            "-d",
            "main",
            "-u",
            "master",
        ]);
        let Some(Command::LoadDemo(args)) = cli.command else { panic!("not the loader") };
        assert_eq!((args.host.as_str(), args.port), ("db", 1));
    }

    #[test]
    fn client_properties_are_pairs() {
        assert_eq!(key_value("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(key_value("a").is_err());
        assert!(key_value("=a").is_err());
    }
}

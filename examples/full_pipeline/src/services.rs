//! The embedded broker and registry, served by a process of their own so that the pipeline's CPU
//! and memory are its own.

use std::{path::PathBuf, process::Stdio, time::Duration};

use embedded_services::{
    broker::{self, Broker},
    control::Control,
    registry::{self, Registry, Storage},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::{
    cli::{RegistryArgs, ServicesArgs},
    error::{Error, Part},
    output::Output,
    shutdown::Shutdown,
};

/// Where the services listen: the one line that `services` prints on standard output.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Addresses {
    /// Bootstrap servers.
    pub kafka: String,
    /// Base URL of the registry.
    pub registry: String,
    /// Base URL for orders of faults, if they are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<String>,
}

/// The services in a child process. It ends when this value is dropped, and also when this process
/// dies, because its standard input ends then.
#[derive(Debug)]
pub struct Services {
    addresses: Addresses,
    child: Child,
    stdin: ChildStdin,
    data: tempfile::TempDir,
}

impl Services {
    /// Starts this program again as `services` on free ports, with its files in a temporary folder.
    ///
    /// # Errors
    ///
    /// The process cannot be started, or does not say where it listens.
    pub async fn spawn() -> Result<Self, Error> {
        let failed =
            |what: &str| Error::new(Part::Embedded, format!("the broker and registry: {what}"));
        let program = std::env::current_exe()
            .map_err(|error| failed("this program's path is unknown").with_cause(error))?;
        Self::spawn_program(program).await
    }

    /// Starts `program`, which must be this one.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub async fn spawn_program(program: PathBuf) -> Result<Self, Error> {
        let failed =
            |what: &str| Error::new(Part::Embedded, format!("the broker and registry: {what}"));
        let data = tempfile::Builder::new()
            .prefix("full-pipeline-broker-")
            .tempdir()
            .map_err(|error| failed("no temporary folder").with_cause(error))?;
        let mut command = Command::new(program);
        command
            .args(["services", "--exit-with-parent"])
            .args(["--kafka-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C goes to every process of the terminal's group; the broker must outlive the
        // pipeline, which still has records to send.
        #[cfg(unix)]
        command.process_group(0);
        let mut child =
            command.spawn().map_err(|error| failed("cannot be started").with_cause(error))?;
        let stdin = child.stdin.take().ok_or_else(|| failed("has no input"))?;
        let stdout = child.stdout.take().ok_or_else(|| failed("has no output"))?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = stdout.read_line(&mut line);
        match tokio::time::timeout(Duration::from_secs(30), read).await {
            Ok(Ok(n)) if n > 0 => {}
            Ok(_) => return Err(failed("ended at once; its own message says why")),
            Err(_) => return Err(failed("did not say where they listen within 30 s")),
        }
        let addresses = serde_json::from_str(&line)
            .map_err(|error| failed("said something else").with_cause(error))?;
        Ok(Self { addresses, child, stdin, data })
    }

    /// Where they listen.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Ends them in order and removes their files. Dropping does the same at once.
    pub async fn stop(self) {
        let Self { mut child, stdin, data, .. } = self;
        drop(stdin);
        // One that does not end by itself is killed when it is dropped.
        let _ended = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
        drop(child);
        drop(data);
    }
}

/// Serves broker and registry until shutdown, or until the parent is gone.
///
/// # Errors
///
/// A port is taken, or the folder cannot be used.
pub async fn serve(args: ServicesArgs, shutdown: Shutdown) -> Result<(), Error> {
    let temporary;
    let data_dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => {
            temporary = tempfile::tempdir().map_err(|error| {
                Error::new(Part::Embedded, "no temporary folder").with_cause(error)
            })?;
            tracing::info!("messages are kept in {} until the end", temporary.path().display());
            temporary.path().to_path_buf()
        }
    };
    let mut config = broker::Config::new(&data_dir).with_listen(args.kafka_listen);
    if args.fsync {
        config = config.with_fsync();
        tracing::info!("batches are flushed to the disk before they are acknowledged");
    } else {
        tracing::info!(
            "batches are not flushed to the disk before they are acknowledged; --fsync does that"
        );
    }
    let broker = Broker::start(config).await.map_err(|error| {
        Error::new(Part::Embedded, format!("no broker on {}", args.kafka_listen))
            .with_cause(error)
            .with_advice("choose another address with --kafka-listen")
    })?;
    let registry = start_registry(
        registry_config(args.registry_listen, &args.compatibility)?,
        args.registry_listen,
        "--registry-listen",
        "--registry-listen",
    )
    .await?;
    let control = match args.faults_listen {
        None => None,
        Some(listen) => {
            let started = Control::start(listen, broker.faults(), registry.faults()).await;
            Some(started.map_err(|error| {
                Error::new(Part::Embedded, format!("no orders for faults on {listen}"))
                    .with_cause(error)
                    .with_advice("choose another address with --faults-listen")
            })?)
        }
    };
    let addresses = Addresses {
        kafka: broker.bootstrap(),
        registry: registry.url(),
        faults: control.as_ref().map(Control::url),
    };
    let line = serde_json::to_string(&addresses).map_err(|error| {
        Error::new(Part::Embedded, "cannot say where we listen").with_cause(error)
    })?;
    Output::raw(&line);
    if args.exit_with_parent {
        // Input that ends is the parent's end, however it came.
        let mut input = tokio::io::stdin();
        let mut ignored = [0; 64];
        while matches!(input.read(&mut ignored).await, Ok(n) if n > 0) {}
    } else {
        tracing::info!("broker on {}, registry on {}", addresses.kafka, addresses.registry);
        shutdown.requested().await;
    }
    registry.shutdown().await;
    broker.shutdown().await.map_err(|error| {
        Error::new(Part::Embedded, "the broker did not end well").with_cause(error)
    })
}

/// Serves a registry until shutdown.
///
/// # Errors
///
/// The port is taken, the compatibility level does not exist, or what is stored cannot be used.
pub async fn serve_registry(args: RegistryArgs, shutdown: Shutdown) -> Result<(), Error> {
    let mut config = registry_config(args.listen, &args.compatibility)?;
    let (mut kept, mut flag) = ("in memory: they end with this process".to_owned(), "--listen");
    if let Some(path) = args.file {
        kept = format!("in {}", path.display());
        flag = "--file";
        config = config.with_storage(Storage::File(path));
    } else if let Some(url) = &args.postgres_url {
        let database = pgoutput::client::Config::parse(url).map_err(|error| {
            Error::config(&["--postgres-url is not a URL of Postgres".to_owned()]).with_cause(error)
        })?;
        kept = format!("in the schema registry of {} on {}", database.database(), database.host());
        flag = "--postgres-url";
        config = config.with_storage(Storage::Postgres(Box::new(database)));
    }
    if let (Some(user), Some(password)) = (&args.auth_user, &args.auth_password) {
        config = config.with_basic_auth(user, password);
    }
    let registry = start_registry(config, args.listen, "--listen", flag).await?;
    Output::raw(&registry.url());
    tracing::info!("registry on {} (also under /apis/ccompat/v6, /v7 and /v8)", registry.url());
    tracing::info!("schemas are kept {kept}");
    shutdown.requested().await;
    registry.shutdown().await;
    Ok(())
}

fn registry_config(
    listen: std::net::SocketAddr,
    compatibility: &str,
) -> Result<registry::Config, Error> {
    let level = compatibility.parse().map_err(|_| {
        Error::config(&[format!(
            "--compatibility {compatibility}: use NONE, BACKWARD, FORWARD, FULL or one of them \
             with _TRANSITIVE"
        )])
    })?;
    Ok(registry::Config::new().with_listen(listen).with_compatibility(level))
}

/// The flags are those that choose address and storage.
async fn start_registry(
    config: registry::Config,
    listen: std::net::SocketAddr,
    listen_flag: &str,
    storage_flag: &str,
) -> Result<Registry, Error> {
    Registry::start(config).await.map_err(|error| {
        let advice = if error.is_storage() {
            format!("look at what {storage_flag} names, and whether another process has it open")
        } else {
            format!("choose another address with {listen_flag}")
        };
        Error::new(Part::Embedded, format!("no registry on {listen}"))
            .with_cause(error)
            .with_advice(advice)
    })
}

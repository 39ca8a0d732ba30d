//! The program: see the crate's documentation, or `full-pipeline --help`.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use full_pipeline::{
    Cli, Command, Error, Output, demo, load_demo, run, services,
    shutdown::{self, Shutdown},
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    full_pipeline::begin_usage();
    let cli = Cli::parse();
    // RUST_LOG says more; the default shows what an operator has to know.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    // The one TLS provider of the process; a second installation would be a second provider.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        Output::error("two TLS providers");
        return ExitCode::FAILURE;
    }
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                Output::error(&format!("cannot start: {error}"));
                return ExitCode::FAILURE;
            }
        };
    let outcome = runtime.block_on(async {
        let (stopper, asked) = shutdown::shutdown();
        shutdown::stop_on_signals(stopper);
        dispatch(cli, asked).await
    });
    // A thread that still waits for a broker must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Output::error(&error.report());
            ExitCode::from(error.part().exit_code())
        }
    }
}

async fn dispatch(cli: Cli, shutdown: Shutdown) -> Result<(), Error> {
    match cli.command.unwrap_or(Command::Demo(cli.demo)) {
        Command::Demo(args) => demo::play(args, shutdown).await,
        Command::Source(args) => run::source(args, shutdown).await,
        Command::Sink(args) => run::sink(args, shutdown).await,
        Command::Run(args) => run::both(args, shutdown).await,
        Command::LoadDemo(args) => load_demo::run(args).await,
        Command::Registry(args) => services::serve_registry(args, shutdown).await,
        Command::Services(args) => services::serve(args, shutdown).await,
        _ => Ok(()),
    }
}

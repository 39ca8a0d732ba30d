//! `load-demo`: the demo's database in any Postgres, with the original loader's questions.

use std::io::{BufRead, Write};

use pgoutput::client::{Client, Config, quote_identifier};

use crate::{
    cli::LoadDemoArgs,
    error::{Error, Part},
    northwind::{Existing, LoadError, Loaded, Northwind},
    output::Output,
    source::postgres_error,
};

/// Loads the database the arguments name.
///
/// # Errors
///
/// The database's own error, or the user said no.
pub async fn run(args: LoadDemoArgs) -> Result<(), Error> {
    let output = Output::new(false);
    let password = match &args.password {
        Some(password) => password.clone(),
        None => rpassword::prompt_password("Password: ").map_err(|error| {
            Error::new(Part::Config, "no password can be asked for")
                .with_cause(error)
                .with_advice("give it with --password or PGPASSWORD")
        })?,
    };
    if !args.yes && !ask("To create database? [y/N]: ")? {
        return Err(Error::new(Part::Interrupted, "aborted: nothing was done"));
    }
    let mut config = Config::new(&args.host)
        .with_port(args.port)
        .with_user(&args.user)
        .with_password(&password)
        .with_ssl_mode(args.sslmode.parse().map_err(|_| {
            Error::config(&[format!(
                "--sslmode {}: use disable, allow, prefer, require, verify-ca or verify-full",
                args.sslmode
            )])
        })?);
    if let Some(path) = &args.sslrootcert {
        config = config.with_ssl_root_cert(path);
    }
    let mut client = connect_or_create(&config, &args.dbname).await?;
    output.line("Database connection created");
    let northwind = Northwind::new().with_seed(args.seed).with_scale(args.scale);
    let existing = if args.drop { Existing::Drop } else { Existing::Keep };
    let loaded = load(&mut client, &northwind, existing, output).await;
    output.line("Database connection closed");
    loaded
}

/// Connects; a database that does not exist is created.
async fn connect_or_create(config: &Config, database: &str) -> Result<Client, Error> {
    let failed = |error| postgres_error("connecting to Postgres", error);
    let target = config.clone().with_database(database);
    match Client::connect(&target).await {
        Err(error) if error.sqlstate() == Some("3D000") => {
            let mut client =
                Client::connect(&config.clone().with_database("postgres")).await.map_err(failed)?;
            client
                .execute(&format!("CREATE DATABASE {}", quote_identifier(database)))
                .await
                .map_err(|error| postgres_error("creating the database", error))?;
            Client::connect(&target).await.map_err(failed)
        }
        connected => connected.map_err(failed),
    }
}

/// Loads the database and says what was done.
///
/// # Errors
///
/// The database's own error, or another schema `ods` is there.
pub async fn load(
    client: &mut Client,
    northwind: &Northwind,
    existing: Existing,
    output: Output,
) -> Result<(), Error> {
    match northwind.load(client, existing).await {
        Ok(Loaded::WasThere) => output.line("Northwind is loaded already; nothing was done"),
        Ok(_) => output.line("Northwind SQL scripts executed"),
        Err(LoadError::Database(error)) => {
            return Err(postgres_error("loading the demo's database", error));
        }
        Err(occupied) => {
            return Err(Error::new(Part::Postgres, "the demo's database cannot be loaded")
                .with_cause(occupied)
                .with_advice(
                    "choose an empty database; load-demo --drop removes the schema ods with all \
                     that is in it",
                ));
        }
    }
    Ok(())
}

/// What to do about a schema `ods`: one that an earlier demo made may go, any other one stays.
///
/// # Errors
///
/// The catalog cannot be asked.
pub async fn replaceable(client: &mut Client) -> Result<Existing, Error> {
    let rows = client
        .query(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'ods'",
        )
        .await
        .map_err(|error| postgres_error("looking for the schema ods", error))?;
    let ours = rows
        .first()
        .is_some_and(|row| row.get(0).is_some_and(|marker| marker.starts_with("northwind ")));
    Ok(if ours { Existing::Drop } else { Existing::Keep })
}

fn ask(question: &str) -> Result<bool, Error> {
    let failed = |error: std::io::Error| {
        Error::new(Part::Config, "the question cannot be asked")
            .with_cause(error)
            .with_advice("answer it with --yes")
    };
    let mut terminal = std::io::stderr();
    terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()).map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

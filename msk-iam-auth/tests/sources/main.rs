//! Every source of credentials, against endpoints on loopback that are like those of AWS.
//!
//! The sources are found through environment variables, which a test cannot change for itself
//! alone. So each test runs this program once more, as `child`, with an environment of its own.
#![cfg(feature = "default-credentials")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and the child speaks through its output"
)]

mod fake;
mod roles;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fake::{Answer, Fake, Request};
use msk_iam_auth::{DefaultCredentials, Error, Region, Signer, Token, TokenProvider};
use serde_json::{Value as Json, json};

#[path = "../../src/sigv4.rs"]
#[allow(dead_code, reason = "only the dates")]
mod sigv4;

const CLIENTS: usize = 50;

/// What the child found: `ok` and the access keys seen, or `error` and its chain of causes.
#[derive(Debug)]
struct Outcome {
    keys: Vec<String>,
    error: String,
    output: String,
}

/// Runs the child where nothing is configured but what `variables` say. The home folder is `home`.
fn child(home: &Path, variables: &[(&str, &str)]) -> Outcome {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_that_asks_for_tokens", "--ignored", "--nocapture"])
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        // The real service would otherwise be looked for last.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("CHILD", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");
    // The harness puts the name of the test before the first line.
    let after = |word: &str| {
        let line = printed.lines().find_map(|line| line.split_once(word).map(|(_, rest)| rest));
        line.map(str::to_owned)
    };
    let keys =
        after("keys: ").map_or_else(Vec::new, |line| line.split(' ').map(str::to_owned).collect());
    Outcome { keys, error: after("error: ").unwrap_or_default(), output: printed }
}

#[test]
#[ignore = "is run by the other tests, with an environment of their own"]
fn child_that_asks_for_tokens() {
    if env::var_os("CHILD").is_none() {
        return;
    }
    let region = Region::new("eu-west-1").unwrap();
    let mut source = DefaultCredentials::new(region.clone());
    if let Ok(name) = env::var("SESSION_NAME") {
        source = source.with_session_name(&name).unwrap();
    }
    if let Ok(name) = env::var("ONLY_PROFILE") {
        source = source.with_profile(&name);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let provider = {
        let _inside = runtime.enter();
        TokenProvider::new(Signer::new(region), Arc::new(source))
            .with_load_timeout(Duration::from_secs(5))
    };
    // Everybody at once, and nobody has asked before.
    let first: Result<Vec<Token>, Error> = runtime.block_on(async {
        let tasks: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let provider = provider.clone();
                tokio::spawn(async move { provider.token().await })
            })
            .collect();
        let mut tokens = Vec::new();
        for task in tasks {
            tokens.push(task.await.unwrap()?);
        }
        Ok(tokens)
    });
    match first {
        Ok(tokens) => {
            let mut keys: Vec<String> = tokens.iter().map(key_of).collect();
            keys.dedup();
            let changes = env::var("CHANGES").map_or(0, |text| text.parse().unwrap());
            let deadline = Instant::now() + Duration::from_secs(30);
            while keys.len() <= changes && Instant::now() < deadline {
                // As librdkafka asks, from a thread that no runtime knows.
                let key = key_of(&provider.current().unwrap());
                if keys.last() != Some(&key) {
                    keys.push(key);
                }
                thread::sleep(Duration::from_millis(20));
            }
            println!("keys: {}", keys.join(" "));
        }
        Err(error) => {
            let mut text = format!("{:?} {error}", error.kind());
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text = format!("{text}: {error} {error:?}");
                cause = error.source();
            }
            println!("error: {}", text.replace('\n', " "));
        }
    }
}

/// The access key named in a token.
fn key_of(token: &Token) -> String {
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.as_str()).unwrap()).unwrap();
    let rest = url.split("X-Amz-Credential=").nth(1).unwrap();
    rest.split('%').next().unwrap().to_owned()
}

/// Key number `n`, as the metadata services answer it, with so many seconds to live.
fn key(n: usize, seconds: u64) -> Json {
    json!({
        "Code": "Success", "Type": "AWS-HMAC",
        "AccessKeyId": format!("AKID{n}"), "SecretAccessKey": "hush", "Token": "token",
        "Expiration": iso(seconds), "RoleArn": "arn:aws:iam::1:role/r", "LastUpdated": iso(0),
    })
}

/// So many seconds from now, in ISO 8601.
fn iso(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let date = sigv4::AmzDate::from_unix(now + seconds).unwrap();
    let text = date.as_str();
    let part = |from: usize, to: usize| &text[from..to];
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    format!("{year}-{month}-{day}T{}:{}:{}Z", part(9, 11), part(11, 13), part(13, 15))
}

/// Answers with key 0, 1, 2 and so on; the first one lives as long as `first`.
fn keys_in_a_row(first: u64) -> impl Fn(&Request) -> Answer {
    move |request| {
        let seconds = if request.number == 0 { first } else { 3_600 };
        (200, key(request.number, seconds).to_string())
    }
}

#[test]
fn container_of_ecs() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::start(keys_in_a_row(3_600));
    let uri = format!("{}/creds?id=1", fake.url());
    let outcome = child(
        home.path(),
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc"),
        ],
    );
    assert_eq!(outcome.keys, ["AKID0"], "{outcome:?}");
    let requests = fake.requests();
    assert_eq!(requests.len(), 1, "one fetch for {CLIENTS} clients");
    assert_eq!(requests[0].target, "/creds?id=1");
    assert_eq!(requests[0].headers["authorization"], "Basic abc");
}

#[test]
fn pod_identity_of_eks_and_its_refresh() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("eks-pod-identity-token");
    fs::write(&file, "first").unwrap();
    let rotated = file.clone();
    let fake = Fake::start(move |request| {
        let answer = keys_in_a_row(4)(request);
        // The file is replaced now and then, and has to be read anew.
        fs::write(&rotated, "second").unwrap();
        answer
    });
    let uri = format!("{}/v1/credentials", fake.url());
    let outcome = child(
        home.path(),
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
            ("CHANGES", "1"),
        ],
    );
    assert_eq!(outcome.keys, ["AKID0", "AKID1"], "{outcome:?}");
    let tokens: Vec<_> = fake
        .requests()
        .into_iter()
        .map(|request| request.headers["authorization"].clone())
        .collect();
    assert_eq!(tokens, ["first", "second"], "one fetch each");
}

#[test]
fn instance_by_imds_v2_and_its_refresh() {
    let home = tempfile::tempdir().unwrap();
    let loads = std::sync::atomic::AtomicUsize::new(0);
    let fake =
        Fake::start(move |request| match (request.method.as_str(), request.target.as_str()) {
            ("PUT", "/latest/api/token") => (200, "session".to_owned()),
            ("GET", _) if !request.headers.contains_key("x-aws-ec2-metadata-token") => {
                (401, String::new())
            }
            ("GET", "/latest/meta-data/iam/security-credentials/") => (200, "the-role".to_owned()),
            ("GET", "/latest/meta-data/iam/security-credentials/the-role") => {
                let n = loads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                (200, key(n, if n == 0 { 4 } else { 3_600 }).to_string())
            }
            _ => (404, String::new()),
        });
    let outcome = child(
        home.path(),
        &[
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &fake.url()),
            ("AWS_EC2_METADATA_DISABLED", "false"),
            ("CHANGES", "1"),
        ],
    );
    assert_eq!(outcome.keys, ["AKID0", "AKID1"], "{outcome:?}");
    let asked = |target: &str| {
        fake.requests().iter().filter(|request| request.target.ends_with(target)).count()
    };
    assert_eq!(asked("/the-role"), 2, "one fetch for {CLIENTS} clients, and one refresh");
    assert_eq!(asked("/api/token"), 1, "the session is kept");
}

#[test]
fn environment_comes_first() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::start(keys_in_a_row(3_600));
    let outcome = child(
        home.path(),
        &[
            ("AWS_ACCESS_KEY_ID", "FROMENV"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &fake.url()),
        ],
    );
    assert_eq!(outcome.keys, ["FROMENV"], "{outcome:?}");
    assert!(fake.requests().is_empty());
}

#[test]
fn profiles_with_keys_and_with_a_process() {
    let home = tempfile::tempdir().unwrap();
    let aws = home.path().join(".aws");
    fs::create_dir(&aws).unwrap();
    let script = aws.join("process.sh");
    let printed = json!({
        "Version": 1, "AccessKeyId": "FROMPROCESS", "SecretAccessKey": "hush",
        "SessionToken": "t", "Expiration": iso(3_600),
    });
    let counter = aws.join("runs");
    fs::write(&script, format!("echo run >> {}\necho '{printed}'\n", counter.display())).unwrap();
    fs::write(
        aws.join("config"),
        format!("[profile process]\ncredential_process = sh {}\n", script.display()),
    )
    .unwrap();
    fs::write(
        aws.join("credentials"),
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = hush\n\
         [other]\naws_access_key_id = OTHER\naws_secret_access_key = hush\n",
    )
    .unwrap();
    for (name, expected) in [("default", "DEFAULT"), ("other", "OTHER"), ("process", "FROMPROCESS")]
    {
        let outcome = child(home.path(), &[("AWS_PROFILE", name)]);
        assert_eq!(outcome.keys, [expected], "{outcome:?}");
        // Named by the program, where the environment would come first.
        let outcome = child(
            home.path(),
            &[("ONLY_PROFILE", name), ("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "x")],
        );
        assert_eq!(outcome.keys, [expected], "{outcome:?}");
    }
    assert_eq!(fs::read_to_string(counter).unwrap(), "run\n".repeat(2), "one run a program");
}

#[test]
fn single_sign_on() {
    let home = tempfile::tempdir().unwrap();
    let aws = home.path().join(".aws");
    fs::create_dir_all(aws.join("sso/cache")).unwrap();
    fs::write(
        aws.join("config"),
        "[profile people]\nsso_start_url = https://example.awsapps.com/start\n\
         sso_region = eu-west-1\nsso_account_id = 111122223333\nsso_role_name = Reader\n",
    )
    .unwrap();
    // What `aws sso login` leaves behind, under the SHA-1 of the start URL.
    let login = json!({
        "startUrl": "https://example.awsapps.com/start", "region": "eu-west-1",
        "accessToken": "signed-on", "expiresAt": iso(3_600),
    });
    fs::write(aws.join(format!("sso/cache/{START_URL_SHA1}.json")), login.to_string()).unwrap();
    let fake = Fake::start(|_| {
        let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() + 3_600_000;
        let credentials = json!({
            "accessKeyId": "FROMSSO", "secretAccessKey": "hush", "sessionToken": "t",
            "expiration": u64::try_from(expires).unwrap(),
        });
        (200, json!({ "roleCredentials": credentials }).to_string())
    });
    let outcome =
        child(home.path(), &[("AWS_PROFILE", "people"), ("AWS_ENDPOINT_URL_SSO", &fake.url())]);
    assert_eq!(outcome.keys, ["FROMSSO"], "{outcome:?}");
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].target.contains("role_name=Reader"), "{requests:?}");
    assert_eq!(requests[0].headers["x-amz-sso_bearer_token"], "signed-on");
}

const START_URL_SHA1: &str = "e8be5486177c5b5392bd9aa76563515b29358e6e";

#[test]
fn nothing_configured_and_things_that_fail() {
    let home = tempfile::tempdir().unwrap();
    let outcome = child(home.path(), &[]);
    assert!(outcome.error.starts_with("MissingCredentials"), "{outcome:?}");

    // A service that answers nonsense, or that it is broken.
    for (status, body) in [(200, "nonsense"), (403, "{}"), (500, "")] {
        let fake = Fake::start(move |_| (status, body.to_owned()));
        let outcome = child(home.path(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &fake.url())]);
        assert!(outcome.error.starts_with("Provider "), "{status}: {outcome:?}");
    }

    // Keys that no signature may be made with.
    let fake = Fake::start(|_| {
        let mut key = key(0, 3_600);
        key["SecretAccessKey"] = json!("hush\n");
        (200, key.to_string())
    });
    let outcome = child(home.path(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &fake.url())]);
    assert!(outcome.error.starts_with("InvalidCredentials"), "{outcome:?}");
    assert!(!outcome.output.contains("hush"), "{outcome:?}");

    // A token file with a line break: refused, and not shown.
    let file = home.path().join("token");
    fs::write(&file, "sesame\n").unwrap();
    let outcome = child(
        home.path(),
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &fake.url()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
        ],
    );
    assert!(outcome.error.starts_with("Provider "), "{outcome:?}");
    assert!(!outcome.output.contains("sesame"), "{outcome:?}");
}

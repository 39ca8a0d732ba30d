//! Runs the vectors of `testdata/`, or of the folder in `VECTORS_DIR`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a failed lookup is a failed case"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, str};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use msk_iam_auth::{Claims, Credentials, ErrorKind, Region, Reply, Signer};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

/// The private signing core, which AWS's own cases are about.
#[path = "../src/sigv4.rs"]
mod sigv4;

#[test]
fn oauthbearer() {
    run("oauthbearer", None, |case| {
        let signer = signer(case).with_user_agent("a b/1+é");
        let credentials = credentials(case);
        let now = at(&case["unix_seconds"]);
        let token = signer.token(&credentials, now).unwrap();
        let url = decode(token.as_str());
        let agent = "&User-Agent=a%20b%2F1%2B%C3%A9";
        assert_eq!(url, format!("{}{agent}", text(case, "canonical_url")));
        assert_eq!(token.expires_at_unix_ms(), case["expiry_ms"].as_i64().unwrap());
        assert_eq!(token.issued_at(), now);
        assert_eq!(
            token.sasl_message(),
            [b"n,,\x01auth=Bearer ", token.as_str().as_bytes(), b"\x01\x01"].concat()
        );

        // The steps of the signature.
        let date = sigv4::AmzDate::from_unix(case["unix_seconds"].as_u64().unwrap()).unwrap();
        assert_eq!(date.as_str(), text(case, "amz_date"));
        let region = text(case, "region");
        let key = sigv4::signing_key(
            text(case, "secret_access_key"),
            date.day(),
            region,
            "kafka-cluster",
        );
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, text(case, "signing_key_hex"));
        let url = text(case, "canonical_url");
        let query = url.split_once('?').unwrap().1.rsplit_once("&X-Amz-Signature=").unwrap().0;
        let request = sigv4::hash_canonical_request(text(case, "host"), query.as_bytes());
        assert_eq!(request, hash(text(case, "canonical_request")));
        let scope = sigv4::scope(date.day(), region, "kafka-cluster");
        let to_sign = sigv4::string_to_sign(&date, &scope, &request);
        assert_eq!(to_sign, text(case, "string_to_sign"));
        assert_eq!(sigv4::SigningKey::new(&key).sign(&to_sign), text(case, "signature"));

        // Amazon's signers put the parameters in other orders, and sign the same.
        let signers = case["signers"].as_object().unwrap();
        for (name, signed) in signers.iter().filter(|(name, _)| *name != "rust_peer") {
            let accepted = verify(
                text(signed, "token"),
                text(case, "secret_access_key"),
                case["unix_seconds"].as_i64().unwrap(),
            );
            assert!(accepted, "{name}");
            let claims = Claims::decode(text(signed, "token")).unwrap();
            assert_eq!(claims.access_key_id(), text(case, "access_key_id"));
            assert_eq!(claims.region(), text(case, "region"));
            assert_eq!(claims.host(), text(case, "host"));
            assert_eq!((claims.issued_at(), claims.expires_at()), (now, token.expires_at()));
        }
    });
}

#[test]
fn aws_msk_iam() {
    run("aws_msk_iam", None, |case| {
        let signer = signer(case).with_user_agent(text(case, "user_agent"));
        let now = at(&case["unix_seconds"]);
        let host = format!("{}:9098", text(case, "host"));
        for host in [text(case, "host"), &host] {
            let payload = signer.sasl_payload(host, &credentials(case), now).unwrap();
            let payload: Json = serde_json::from_slice(&payload).unwrap();
            assert_eq!(payload, case["payload"]);
        }
    });
}

#[test]
fn region_from_host() {
    run("region_from_host", None, |case| {
        let found = Region::from_host(text(case, "host"));
        match case["region"].as_str() {
            Some(region) => assert_eq!(found.unwrap().as_str(), region),
            None => {
                let error = found.unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::NoRegionInHost(_)));
            }
        }
    });
}

#[test]
fn lifetime_clamp() {
    run("lifetime_clamp", None, |case| {
        let exact = |json: &Json| UNIX_EPOCH + Duration::from_secs_f64(json.as_f64().unwrap());
        let mut credentials = Credentials::new("AKIDEXAMPLE", "secret");
        if !case["credentials_expire_unix"].is_null() {
            credentials = credentials.with_expires_at(exact(&case["credentials_expire_unix"]));
        }
        let signer = Signer::new(Region::new("us-east-1").unwrap());
        let token = signer.token(&credentials, exact(&case["now_unix"]));
        match case["x_amz_expires"].as_u64() {
            Some(seconds) => {
                let token = token.unwrap();
                assert_eq!(token.expires_at_unix_ms(), case["expiry_ms"].as_i64().unwrap());
                let url = decode(token.as_str());
                assert!(url.contains(&format!("&X-Amz-Expires={seconds}&")), "{url}");
            }
            None => assert_eq!(token.unwrap_err().kind(), &ErrorKind::CredentialsExpired),
        }
    });
}

#[test]
fn amz_date() {
    run("amz_date", None, |case| {
        let seconds = case["unix_seconds"].as_u64().unwrap();
        let date = sigv4::AmzDate::from_unix(seconds).unwrap();
        assert_eq!(date.as_str(), text(case, "amz_date"));
        assert_eq!(date.day(), &text(case, "amz_date")[..8]);
        assert_eq!(sigv4::AmzDate::parse(date.as_str()), Some(seconds));
    });
}

#[test]
fn server_response() {
    run("server_response", None, |case| {
        let reply = Reply::decode(text(case, "bytes").as_bytes());
        assert_eq!(reply.is_ok(), case["accept"].as_bool().unwrap(), "{reply:?}");
        if let (Ok(reply), Some(id)) = (reply, case["request_id"].as_str()) {
            assert_eq!(reply.request_id(), Some(id));
        }
    });
}

#[test]
fn verifier_cases() {
    run("verifier_cases", None, |case| {
        let accepted = verify(
            text(case, "token"),
            text(case, "secret_access_key"),
            case["verify_at_unix"].as_i64().unwrap(),
        );
        assert_eq!(accepted, case["expect_accept"].as_bool().unwrap());
    });
}

#[test]
fn sigv4_suite_query() {
    // AWS's public cases are not part of this repository.
    let elsewhere = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/msk-iam");
    run("sigv4_suite_query", Some(elsewhere), |case| {
        let context = &case["context"];
        let (region, service) = (text(context, "region"), text(context, "service"));
        let to_sign = text(case, "string_to_sign");
        let stamp = to_sign.lines().nth(1).unwrap();
        let date = (0..40_000 * 86_400_u64)
            .step_by(86_400)
            .filter_map(|midnight| {
                let clock = |from: usize| stamp[from..from + 2].parse::<u64>().unwrap();
                let time = clock(9) * 3_600 + clock(11) * 60 + clock(13);
                sigv4::AmzDate::from_unix(midnight + time)
            })
            .find(|date| date.as_str() == stamp)
            .unwrap();
        let scope = sigv4::scope(date.day(), region, service);
        let request = text(case, "canonical_request");
        assert_eq!(sigv4::string_to_sign(&date, &scope, &hash(request)), to_sign);
        let secret = text(&context["credentials"], "secret_access_key");
        let key = sigv4::signing_key(secret, date.day(), region, service);
        assert_eq!(sigv4::SigningKey::new(&key).sign(to_sign), text(case, "signature"));

        // Decoding and encoding the query again gives the same text.
        let query = request.lines().nth(2).unwrap();
        let pairs = parse_query(query).unwrap();
        assert_eq!(
            canonical_query(pairs.iter().map(|(name, value)| (name, value))),
            query.as_bytes()
        );
        // The simplest requests are of the form this crate signs.
        if request.starts_with("GET\n/\n") && request.contains("\n\nhost\n") {
            let ours = sigv4::hash_canonical_request("example.amazonaws.com", query.as_bytes());
            assert_eq!(ours, hash(request));
        }
    });
}

/// Runs every line, and reports all failures before failing.
fn run(file: &str, elsewhere: Option<PathBuf>, case: fn(&Json)) {
    let optional = elsewhere.is_some() || std::env::var_os("VECTORS_DIR").is_some();
    let folder = std::env::var_os("VECTORS_DIR")
        .map(PathBuf::from)
        .or(elsewhere)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata"));
    let path = folder.join(format!("{file}.jsonl"));
    let Ok(lines) = fs::read_to_string(&path) else {
        assert!(optional, "{} is missing", path.display());
        println!("{file}: SKIPPED, there is no {}", path.display());
        return;
    };
    let (mut passed, mut failed) = (0, Vec::new());
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let input: Json = serde_json::from_str(line).unwrap();
        if std::panic::catch_unwind(|| case(&input)).is_ok() {
            passed += 1;
        } else {
            failed.push(input["id"].to_string());
        }
    }
    println!("{file}: {passed}/{}", passed + failed.len());
    assert!(failed.is_empty() && passed > 0, "{file}: failed {failed:?}");
}

/// What a broker does with a token, by the rules of SigV4.
fn verify(token: &str, secret: &str, now: i64) -> bool {
    accept(token, secret, now).unwrap_or(false)
}

fn accept(token: &str, secret: &str, now: i64) -> Option<bool> {
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (host, query) = url.strip_prefix("https://")?.split_once("/?")?;
    let mut parameters: BTreeMap<String, String> = parse_query(query)?.into_iter().collect();
    parameters.remove("User-Agent");
    let signature = parameters.remove("X-Amz-Signature")?;
    let credential: Vec<&str> = parameters.get("X-Amz-Credential")?.split('/').collect();
    let [_, day, region, service, "aws4_request"] = credential[..] else { return None };
    let stamp = parameters.get("X-Amz-Date")?;
    let expires: i64 = parameters.get("X-Amz-Expires")?.parse().ok()?;
    let issued = (now - expires..=now).find(|&second| {
        u64::try_from(second)
            .ok()
            .and_then(sigv4::AmzDate::from_unix)
            .is_some_and(|date| date.as_str() == stamp)
    })?;
    let date = sigv4::AmzDate::from_unix(u64::try_from(issued).ok()?)?;
    let request = sigv4::hash_canonical_request(host, &canonical_query(parameters.iter()));
    let to_sign = sigv4::string_to_sign(&date, &sigv4::scope(day, region, service), &request);
    let key = sigv4::signing_key(secret, day, region, service);
    Some(
        sigv4::SigningKey::new(&key).sign(&to_sign) == signature
            && date.day() == day
            && parameters.get("X-Amz-Algorithm").map(String::as_str) == Some(sigv4::ALGORITHM)
            && parameters.get("Action").map(String::as_str) == Some("kafka-cluster:Connect")
            && parameters.get("X-Amz-SignedHeaders").map(String::as_str) == Some("host")
            && service == "kafka-cluster",
    )
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Joins pairs that are sorted already.
fn canonical_query<T: AsRef<str>>(pairs: impl Iterator<Item = (T, T)>) -> Vec<u8> {
    let mut query = Vec::new();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push(b'&');
        }
        sigv4::percent_encode(name.as_ref(), &mut query);
        query.push(b'=');
        sigv4::percent_encode(value.as_ref(), &mut query);
    }
    query
}

/// Pairs in the order they stand in; `+` is a space, as form decoding has it.
fn parse_query(query: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| {
        let bytes = text.as_bytes();
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'%' => {
                    let digits = str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
                    out.push(u8::from_str_radix(digits, 16).ok()?);
                    at += 3;
                }
                b'+' => {
                    out.push(b' ');
                    at += 1;
                }
                byte => {
                    out.push(byte);
                    at += 1;
                }
            }
        }
        String::from_utf8(out).ok()
    };
    query
        .split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}

fn signer(case: &Json) -> Signer {
    Signer::new(Region::new(text(case, "region")).unwrap())
        .with_lifetime(Duration::from_secs(case["expires_seconds"].as_u64().unwrap()))
        .unwrap()
}

fn credentials(case: &Json) -> Credentials {
    Credentials::new(text(case, "access_key_id"), text(case, "secret_access_key"))
        .with_session_token(case["session_token"].as_str().unwrap_or(""))
}

fn decode(token: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap()
}

fn text<'a>(case: &'a Json, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

fn at(seconds: &Json) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.as_u64().unwrap())
}

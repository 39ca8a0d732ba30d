//! rdkafka with our tokens, through the program's own bridge.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use msk_iam_auth::{Credentials, Region, Signer, TokenProvider};
use rdkafka::consumer::Consumer as _;

use crate::{
    KEY, PRINCIPAL, REGION, SECRET,
    stand::{Source, Stand, Wire, good, is_served, provider, signer},
};

const LIMIT: Duration = Duration::from_secs(30);
const BRIEF: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_opens_with_and_without_tls() {
    for wire in [Wire::Plain, Wire::Tls] {
        let stand = Stand::start(wire, None).await;
        stand.judge.allow("ASIA", SECRET, Some("a+b/c=="), PRINCIPAL);
        for credentials in [good(), Credentials::new("ASIA", SECRET).with_session_token("a+b/c==")]
        {
            let provider = provider(signer(), Source::new(credentials)).await;
            let client = stand.client(&provider);
            assert!(is_served(&client, LIMIT), "{:?}", stand.refusal());
        }
        assert_eq!(stand.refusal(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_does_not() {
    let virginia = || Signer::new(Region::new("us-east-1").unwrap());
    let elsewhere = signer().with_endpoint_host("kafka.us-east-1.amazonaws.com").unwrap();
    let right_host =
        virginia().with_endpoint_host(&format!("kafka.{REGION}.amazonaws.com")).unwrap();
    let key = || good();
    for wire in [Wire::Plain, Wire::Tls] {
        let stand = Stand::start(wire, None).await;
        for (why, signer, credentials, minutes_ago) in [
            ("wrong signature", signer(), Credentials::new(KEY, "guess"), 0),
            ("unknown key", signer(), Credentials::new("AKIDOTHER", SECRET), 0),
            ("wrong session token", signer(), key().with_session_token("x"), 0),
            ("expired", signer(), key(), 16),
            ("wrong scope", right_host.clone(), key(), 0),
            ("wrong host", virginia(), key(), 0),
            ("wrong host", elsewhere.clone(), key(), 0),
        ] {
            let ago = Duration::from_secs(60 * minutes_ago);
            let provider = TokenProvider::new(signer, Source::new(credentials))
                .with_clock(move || SystemTime::now() - ago);
            provider.token().await.unwrap();
            let token = provider.current().unwrap();
            assert_eq!(stand.judge.check_token(token.as_str()).unwrap_err(), why);
            let client = stand.client(&provider);
            if minutes_ago > 0 {
                // librdkafka does not even send what has expired.
                assert!(!is_served(&client, BRIEF), "{why}");
                continue;
            }
            let before = stand.judge.verdicts().len();
            let end = Instant::now() + LIMIT;
            while stand.judge.verdicts().len() == before && Instant::now() < end {
                assert!(!is_served(&client, Duration::from_millis(1)), "{why}");
            }
            assert_eq!(stand.refusal().as_deref(), Some(why));
        }
        assert_eq!(stand.accepted(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_changed_anywhere_is_refused() {
    let stand = Stand::start(Wire::Plain, None).await;
    let token = signer().token(&good(), SystemTime::now()).unwrap();
    assert!(stand.judge.check_token(token.as_str()).is_ok());
    let url = URL_SAFE_NO_PAD.decode(token.as_str()).unwrap();
    let unsigned = String::from_utf8(url.clone()).unwrap().find("&User-Agent=").unwrap();
    for at in 0..unsigned {
        let mut changed = url.clone();
        changed[at] ^= 1;
        let changed = URL_SAFE_NO_PAD.encode(changed);
        assert!(stand.judge.check_token(&changed).is_err(), "byte {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_by_authenticating_again_as_the_same_principal() {
    let stand = Stand::start(Wire::Plain, Some(Duration::from_secs(4))).await;
    let source = Source::new(good());
    let provider = provider(signer(), Arc::<Source>::clone(&source)).await;
    let client = stand.client(&provider);
    assert!(is_served(&client, LIMIT), "{:?}", stand.refusal());

    // Another key of the same principal, as after a refresh: nobody notices.
    stand.judge.allow("AKIDNEW", SECRET, None, PRINCIPAL);
    source.set(Credentials::new("AKIDNEW", SECRET));
    provider.forget();
    provider.token().await.unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        assert!(is_served(&client, LIMIT), "{:?}", stand.refusal());
        std::thread::sleep(Duration::from_millis(100));
    }
    // One connection to ask for the brokers, one to the broker, which may be opened late. Were they
    // opened anew after each session, there would be three times as many.
    let (logins, connections) = (stand.accepted(), stand.connections());
    assert!(connections <= 3 && logins >= connections + 2, "{logins} on {connections}");
    assert_eq!(stand.refusal(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_principal_needs_another_connection() {
    let stand = Stand::start(Wire::Plain, Some(Duration::from_secs(4))).await;
    let source = Source::new(good());
    // A short life, so that librdkafka asks for the next token soon.
    let short = signer().with_lifetime(Duration::from_secs(5)).unwrap();
    let provider = provider(short, Arc::<Source>::clone(&source)).await;
    let client = stand.client(&provider);
    assert!(is_served(&client, LIMIT), "{:?}", stand.refusal());
    let connections = stand.connections();

    stand.judge.allow("AKIDOTHER", SECRET, None, "arn:aws:sts::111122223333:assumed-role/orders/2");
    source.set(Credentials::new("AKIDOTHER", SECRET));
    provider.forget();
    provider.token().await.unwrap();
    // Once on the old connection, where another principal is refused, and again on a new one.
    let others = || {
        let verdicts = stand.judge.verdicts();
        verdicts.into_iter().filter(|verdict| verdict.as_deref() == Ok("AKIDOTHER")).count()
    };
    let end = Instant::now() + LIMIT;
    while (others() < 2 || stand.connections() == connections) && Instant::now() < end {
        is_served(&client, BRIEF);
    }
    assert!(others() >= 2, "the token was refreshed: {:?}", stand.judge.verdicts());
    assert!(stand.connections() > connections);
    assert!(is_served(&client, LIMIT), "{:?}", stand.refusal());
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clients_fetch_credentials_once() {
    let stand = Stand::start(Wire::Plain, None).await;
    let source = Source::new(good());
    let provider = TokenProvider::new(signer(), Arc::<Source>::clone(&source));
    // Nothing is loaded before they come.
    let first = provider.clone();
    tokio::spawn(provider.keep_fresh());
    let clients: Vec<_> = (0..50).map(|_| stand.client(&first)).collect();
    for client in &clients {
        assert!(is_served(client, LIMIT), "{:?}", stand.refusal());
    }
    assert!(stand.accepted() >= 50);
    assert_eq!(source.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_refuses_is_left_in_peace_and_new_credentials_are_fetched() {
    const CLIENTS: usize = 4;
    let stand = Stand::start(Wire::Plain, None).await;
    let source = Source::new(good());
    let provider = provider(signer(), Arc::<Source>::clone(&source)).await;
    stand.judge.deny(true);
    let start = Instant::now();
    let clients: Vec<_> = (0..CLIENTS).map(|_| stand.client(&provider)).collect();
    while start.elapsed() < Duration::from_secs(20) {
        for client in &clients {
            client.poll(Duration::from_millis(20));
            let _ = client.fetch_metadata(None, Duration::from_millis(1));
        }
    }
    // The first one of each comes at once; then they come ever later.
    let arrivals: Vec<Duration> =
        stand.arrivals.lock().unwrap().iter().map(|at| at.duration_since(start)).collect();
    let in_second = |n: u64| arrivals.iter().filter(|at| at.as_secs() == n).count();
    let rates: Vec<usize> = (0..20).map(in_second).collect();
    println!("connections of {CLIENTS} clients in each second: {rates:?}");
    let later: usize = rates[1..].iter().sum();
    assert!(rates[1..].iter().all(|&rate| rate <= CLIENTS), "{rates:?}");
    assert!(later <= 19, "one a second at most, for all of them: {rates:?}");
    assert!(stand.refusal().is_some());
    assert_eq!(stand.accepted(), 0);
    // At most every ten seconds, and once at least.
    assert!((2..=3).contains(&source.asked()), "{} times", source.asked());

    stand.judge.deny(false);
    for client in &clients {
        assert!(is_served(client, LIMIT), "{:?}", stand.refusal());
    }
}

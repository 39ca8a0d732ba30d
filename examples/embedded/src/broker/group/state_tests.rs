use super::*;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

struct Bench {
    group: Group,
    now: Instant,
}

type Joining = oneshot::Receiver<Result<Joined, (ResponseError, StrBytes)>>;

impl Bench {
    fn new() -> Self {
        Self { group: Group::new(Duration::ZERO), now: Instant::now() }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.tick(self.now);
    }

    /// The two steps of a new member.
    fn enter(&mut self, protocols: &[&str]) -> (StrBytes, Joining) {
        let Outcome::Now(Err((ResponseError::MemberIdRequired, id))) =
            self.group.join(join("", None, protocols), self.now)
        else {
            panic!("a new member is told its id first");
        };
        let joining = self.rejoin(&id, protocols);
        (id, joining)
    }

    fn rejoin(&mut self, id: &str, protocols: &[&str]) -> Joining {
        match self.group.join(join(id, None, protocols), self.now) {
            Outcome::Later(joining) => joining,
            Outcome::Now(now) => panic!("{now:?}"),
        }
    }

    fn sync(&mut self, id: &str, generation: i32, given: &[(&str, &'static str)]) -> Syncing {
        let sync = Sync {
            identity: identity(id, None),
            generation,
            protocol_type: None,
            protocol: None,
            assignments: given
                .iter()
                .map(|(id, text)| (owned(id), Bytes::from_static(text.as_bytes())))
                .collect(),
        };
        match self.group.sync(sync, self.now) {
            Outcome::Later(syncing) => Syncing::Later(syncing),
            Outcome::Now(synced) => Syncing::Now(synced.map(|synced| synced.assignment)),
        }
    }

    fn beat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.group.heartbeat(&identity(id, None), generation, self.now)
    }

    /// A stable group of one member in generation 1.
    fn settled() -> (Self, StrBytes) {
        let mut bench = Self::new();
        let (id, joining) = bench.enter(&["range"]);
        assert_eq!(done(joining).generation, 1);
        assert_eq!(bench.sync(&id, 1, &[(&id, "all")]).done(), Ok(Bytes::from_static(b"all")));
        (bench, id)
    }
}

enum Syncing {
    Now(Result<Bytes, ResponseError>),
    Later(oneshot::Receiver<Result<Synced, ResponseError>>),
}

impl Syncing {
    fn done(self) -> Result<Bytes, ResponseError> {
        match self {
            Self::Now(result) => result,
            Self::Later(mut receiver) => {
                receiver.try_recv().unwrap().map(|synced| synced.assignment)
            }
        }
    }
}

fn join(id: &str, instance: Option<&str>, protocols: &[&str]) -> Join {
    let protocol = |name: &&str| Protocol { name: owned(name), metadata: Bytes::new() };
    Join {
        identity: identity(id, instance),
        client_id: owned("client"),
        client_host: owned("/127.0.0.1"),
        session_timeout_ms: i32::try_from(SESSION.as_millis()).unwrap(),
        rebalance_timeout_ms: i32::try_from(REBALANCE.as_millis()).unwrap(),
        protocol_type: owned("consumer"),
        protocols: protocols.iter().map(protocol).collect(),
        id_first: true,
    }
}

fn identity(id: &str, instance: Option<&str>) -> Identity {
    Identity { member_id: owned(id), instance_id: instance.map(owned) }
}

fn owned(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn done(mut joining: Joining) -> Joined {
    joining.try_recv().unwrap().unwrap()
}

#[test]
fn all_members_join_again_before_a_generation_begins() {
    let (mut bench, first) = Bench::settled();
    let (second, mut joining) = bench.enter(&["range"]);
    assert!(joining.try_recv().is_err(), "the first member has to join again");
    assert_eq!(bench.beat(&first, 1), Err(ResponseError::RebalanceInProgress));
    let leader = done(bench.rejoin(&first, &["range"]));
    let follower = done(joining);
    assert_eq!((leader.generation, follower.generation), (2, 2));
    assert_eq!((&leader.leader, &follower.leader), (&first, &first));
    assert_eq!((leader.members.len(), follower.members.len()), (2, 0));

    let waiting = bench.sync(&second, 2, &[]);
    let own = bench.sync(&first, 2, &[(&first, "a"), (&second, "b")]);
    assert_eq!(own.done(), Ok(Bytes::from_static(b"a")));
    assert_eq!(waiting.done(), Ok(Bytes::from_static(b"b")));
    assert_eq!(bench.group.state(), GroupState::Stable);
}

#[test]
fn only_the_present_generation_may_commit() {
    let (mut bench, id) = Bench::settled();
    let check = |bench: &mut Bench, id: &str, generation| {
        bench.group.check_commit(&identity(id, None), generation, bench.now)
    };
    assert_eq!(check(&mut bench, &id, 1), Ok(()));
    assert_eq!(check(&mut bench, &id, 0), Err(ResponseError::IllegalGeneration));
    assert_eq!(check(&mut bench, "other", 1), Err(ResponseError::UnknownMemberId));
    assert_eq!(check(&mut bench, "", -1), Err(ResponseError::UnknownMemberId));
    let (_, _joining) = bench.enter(&["range"]);
    assert_eq!(check(&mut bench, &id, 1), Ok(()), "a member may still commit what it gives away");
    let _joined = bench.rejoin(&id, &["range"]);
    assert_eq!(check(&mut bench, &id, 1), Err(ResponseError::IllegalGeneration));
    assert_eq!(check(&mut bench, &id, 2), Err(ResponseError::RebalanceInProgress));
    let mut empty = Bench::new();
    assert_eq!(check(&mut empty, "", -1), Ok(()));
}

#[test]
fn a_silent_member_is_dropped_and_the_others_go_on() {
    let (mut bench, first) = Bench::settled();
    let (second, joining) = bench.enter(&["range"]);
    let _leader = done(bench.rejoin(&first, &["range"]));
    let _follower = done(joining);
    bench.sync(&first, 2, &[]).done().unwrap();
    bench.sync(&second, 2, &[]).done().unwrap();
    bench.pass(SESSION / 2);
    assert_eq!(bench.beat(&first, 2), Ok(()));
    bench.pass(SESSION / 2);
    assert_eq!(bench.beat(&second, 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.beat(&first, 2), Err(ResponseError::RebalanceInProgress));
    assert_eq!(done(bench.rejoin(&first, &["range"])).generation, 3);
    bench.pass(SESSION);
    assert_eq!(bench.group.state(), GroupState::Empty);
    assert!(bench.group.is_forgettable());
    assert_eq!(bench.group.deadline(), None);
}

#[test]
fn a_rebalance_does_not_wait_for_ever() {
    let (mut bench, first) = Bench::settled();
    let (_, joining) = bench.enter(&["range"]);
    for _ in 0..11 {
        bench.pass(SESSION / 2);
        assert_eq!(bench.beat(&first, 1), Err(ResponseError::RebalanceInProgress));
    }
    bench.pass(SESSION / 2);
    let joined = done(joining);
    assert_eq!((joined.generation, joined.members.len()), (2, 1));
    assert_eq!(bench.beat(&first, 1), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_promised_id_that_is_not_used_holds_nobody_up_for_longer_than_a_session() {
    let (mut bench, first) = Bench::settled();
    let promised = bench.group.join(join("", None, &["range"]), bench.now);
    assert!(matches!(promised, Outcome::Now(Err((ResponseError::MemberIdRequired, _)))));
    let mut joining = bench.rejoin(&first, &["range"]);
    assert!(joining.try_recv().is_err());
    bench.pass(SESSION);
    assert_eq!(done(joining).generation, 2);
}

#[test]
fn a_leader_that_dies_before_assigning_is_replaced() {
    let (mut bench, first) = Bench::settled();
    let (second, joining) = bench.enter(&["range"]);
    let _leader = done(bench.rejoin(&first, &["range"]));
    let _follower = done(joining);
    let waiting = bench.sync(&second, 2, &[]);
    bench.pass(SESSION);
    assert_eq!(waiting.done(), Err(ResponseError::RebalanceInProgress));
    let joined = done(bench.rejoin(&second, &["range"]));
    assert_eq!((joined.generation, &joined.leader), (3, &second));
}

#[test]
fn the_protocol_is_one_that_all_speak() {
    let mut bench = Bench::new();
    let (first, joining) = bench.enter(&["cooperative-sticky", "range"]);
    assert_eq!(done(joining).protocol.as_str(), "cooperative-sticky");
    let (_, joining) = bench.enter(&["roundrobin", "range"]);
    let leader = done(bench.rejoin(&first, &["cooperative-sticky", "range"]));
    assert_eq!((leader.protocol.as_str(), done(joining).protocol.as_str()), ("range", "range"));
    let refused = bench.group.join(join("", None, &["sticky"]), bench.now);
    assert!(matches!(refused, Outcome::Now(Err((ResponseError::InconsistentGroupProtocol, _)))));
}

#[test]
fn repeating_a_join_changes_nothing_for_a_follower() {
    let (mut bench, first) = Bench::settled();
    let (second, joining) = bench.enter(&["range"]);
    let _leader = done(bench.rejoin(&first, &["range"]));
    let _follower = done(joining);
    bench.sync(&first, 2, &[(&second, "b")]).done().unwrap();
    let again = bench.group.join(join(&second, None, &["range"]), bench.now);
    let Outcome::Now(Ok(joined)) = again else { panic!("{again:?}") };
    assert_eq!((joined.generation, joined.member_id), (2, second.clone()));
    assert_eq!(bench.sync(&second, 2, &[]).done(), Ok(Bytes::from_static(b"b")));
    assert_eq!(bench.group.state(), GroupState::Stable);
}

#[test]
fn a_static_member_that_returns_shuts_its_old_self_out() {
    let mut bench = Bench::new();
    let joined = |outcome| match outcome {
        Outcome::Later(joining) => done(joining),
        Outcome::Now(now) => panic!("{now:?}"),
    };
    let old = joined(bench.group.join(join("", Some("i"), &["range"]), bench.now)).member_id;
    let new = joined(bench.group.join(join("", Some("i"), &["range"]), bench.now)).member_id;
    assert_ne!(old, new);
    assert_eq!(bench.group.snapshot().members.len(), 1);
    let beat =
        |bench: &mut Bench, id: &str| bench.group.heartbeat(&identity(id, Some("i")), 2, bench.now);
    assert_eq!(beat(&mut bench, &old), Err(ResponseError::FencedInstanceId));
    assert_eq!(beat(&mut bench, &new), Ok(()));
    // An administrator names the instance only.
    assert_eq!(bench.group.leave(&identity("", Some("i")), bench.now), Ok(()));
    assert_eq!(bench.group.state(), GroupState::Empty);
}

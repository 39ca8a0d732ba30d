//! The calls that programs make for their records: finding, registering and checking schemas.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use crate::cache::{Cache, Found, Lifetime};
use crate::config::Config;
use crate::document::Document;
use crate::endpoint::Path;
use crate::error::Error;
use crate::exchange::{Exchange, Question, not_json};
use crate::id::{Guid, SchemaId, Version};
use crate::schema::{
    Compatibility, Definition, NewSchema, Registered, Registration, WireCompatibility,
};
use crate::subject::{Context, Subject};
use crate::transport::Transport;

/// A client of one registry. Cloning is cheap and shares the caches and connections: make one
/// per registry and program.
///
/// Every call may fail with any [`ErrorKind`](crate::ErrorKind), after the configured retries of
/// the kinds that may pass. Needs a tokio runtime with its clock enabled.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) exchange: Exchange,
    by_id: Cache<SchemaId, Arc<Registered>>,
    by_id_in: Cache<(Context, SchemaId), Arc<Registered>>,
    by_guid: Cache<Guid, Arc<Definition>>,
    latest: Cache<Subject, Arc<Registered>>,
    registered: Cache<(Subject, NewSchema), Registration>,
    recent: Recent,
    #[cfg(feature = "avro")]
    pub(crate) capacity: NonZeroUsize,
    #[cfg(feature = "avro")]
    pub(crate) missing_ttl: Duration,
    #[cfg(feature = "avro")]
    pub(crate) latest_lifetime: Lifetime,
    #[cfg(feature = "avro")]
    context: Context,
}

#[cfg(feature = "avro")]
impl Shared {
    /// The context that ids of `subject` belong to.
    pub(crate) fn context_of(&self, subject: &Subject) -> Context {
        let own = subject.context();
        if own.is_default() { self.context.clone() } else { own }
    }
}

impl Client {
    /// A client over HTTP. Sends nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the configuration cannot be used.
    #[cfg(feature = "reqwest")]
    pub fn new(config: Config) -> Result<Self, Error> {
        let transport = crate::http::HttpTransport::build(config.connect_timeout, &config.tls)?;
        Self::with_transport(config, Arc::new(transport))
    }

    /// A client over another transport, which sees to TLS by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the configuration cannot be used.
    pub fn with_transport(config: Config, transport: Arc<dyn Transport>) -> Result<Self, Error> {
        let (capacity, missing) = (config.capacity(), config.missing_ttl);
        let latest = Lifetime { fresh: config.latest_ttl, stale: config.latest_stale };
        Ok(Self {
            shared: Arc::new(Shared {
                exchange: Exchange::new(&config, transport)?,
                by_id: Cache::new(capacity, missing, |_| Lifetime::ENDLESS),
                by_id_in: Cache::new(capacity, missing, |_| Lifetime::ENDLESS),
                by_guid: Cache::new(capacity, missing, |_| Lifetime::ENDLESS),
                latest: Cache::new(capacity, missing, move |_| latest),
                registered: Cache::new(capacity, Duration::ZERO, |_| Lifetime::ENDLESS),
                recent: Recent::new(capacity, config.registration_grace),
                #[cfg(feature = "avro")]
                capacity,
                #[cfg(feature = "avro")]
                missing_ttl: missing,
                #[cfg(feature = "avro")]
                latest_lifetime: latest,
                #[cfg(feature = "avro")]
                context: config.context,
            }),
        })
    }

    /// The schema with this id. Kept until displaced by others, because ids never change their
    /// meaning; callers that ask for one id at the same time share one request.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none, and as the
    /// [`Client`] says.
    pub async fn schema(&self, id: SchemaId) -> Result<Arc<Registered>, Error> {
        let fetch = || async move {
            let question = Question::get(Path::new().fixed("schemas").fixed("ids").display(id));
            self.registered(question.expected(self.shared.recent.has(&Made::Id(id))), Some(id))
                .await
        };
        self.shared.by_id.get_or_fetch(&id, fetch).await
    }

    /// The schema with this id if [`schema`](Self::schema) has already brought it. Does not
    /// wait, send or allocate: this is the call to make for every record.
    #[must_use]
    pub fn try_get(&self, id: SchemaId) -> Option<Arc<Registered>> {
        self.shared.by_id.get(&id)
    }

    /// The schema with this id in the context of `subject`, kept as [`schema`](Self::schema)
    /// keeps it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none, and as the
    /// [`Client`] says.
    pub async fn schema_for(
        &self,
        id: SchemaId,
        subject: &Subject,
    ) -> Result<Arc<Registered>, Error> {
        let context = subject.context();
        if context.is_default() {
            return self.schema(id).await;
        }
        let fetch = || async move {
            let path = Path::new().fixed("schemas").fixed("ids").display(id);
            let question = Question::get(path.param("subject", subject.as_str()));
            self.registered(question.expected(self.shared.recent.has(&Made::Id(id))), Some(id))
                .await
        };
        self.shared.by_id_in.get_or_fetch(&(context, id), fetch).await
    }

    /// The schema with this GUID, kept as [`schema`](Self::schema) keeps it. Confluent's
    /// registry has GUIDs since 8.0, Apicurio's has none.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none, and as the
    /// [`Client`] says.
    pub async fn schema_by_guid(&self, guid: Guid) -> Result<Arc<Definition>, Error> {
        let fetch = || async move {
            let question = Question::get(Path::new().fixed("schemas").fixed("guids").display(guid))
                .expected(self.shared.recent.has(&Made::Guid(guid)));
            let read = |fields| Definition::read(fields, Some(guid)).map(Arc::new);
            self.document(&question, read).await
        };
        self.shared.by_guid.get_or_fetch(&guid, fetch).await
    }

    /// The schema with this GUID if [`schema_by_guid`](Self::schema_by_guid) has already brought
    /// it. Does not wait, send or allocate.
    #[must_use]
    pub fn try_get_guid(&self, guid: Guid) -> Option<Arc<Definition>> {
        self.shared.by_guid.get(&guid)
    }

    /// The newest version of `subject`, kept for
    /// [`Config::with_latest_ttl`](crate::Config::with_latest_ttl). After that time one caller's
    /// question starts a background task that fetches a new one, and all get the old one until
    /// it is here, though not longer than
    /// [`Config::with_latest_stale`](crate::Config::with_latest_stale).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such subject, and as
    /// the [`Client`] says.
    pub async fn latest(&self, subject: &Subject) -> Result<Arc<Registered>, Error> {
        match self.shared.latest.look(subject) {
            Found::Fresh(latest) | Found::Stale(latest) => return Ok(latest),
            Found::Refresh(latest) => {
                let (client, subject) = (self.clone(), subject.clone());
                tokio::spawn(async move {
                    let fetch = || client.version(&subject, Version::LATEST);
                    client.shared.latest.refresh(&subject, fetch).await;
                });
                return Ok(latest);
            }
            Found::Nothing => {}
        }
        let fetch = || self.version(subject, Version::LATEST);
        self.shared.latest.get_or_fetch(subject, fetch).await
    }

    /// One version of `subject`. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such subject or
    /// version, and as the [`Client`] says.
    pub async fn version(
        &self,
        subject: &Subject,
        version: Version,
    ) -> Result<Arc<Registered>, Error> {
        let path = subject_path(subject)?.fixed("versions").display(version);
        self.registered(self.about(subject, Question::get(path)), None).await
    }

    /// The newest version of `subject` whose metadata has all these properties. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none, and as the
    /// [`Client`] says.
    pub async fn latest_with_metadata(
        &self,
        subject: &Subject,
        properties: &[(&str, &str)],
    ) -> Result<Arc<Registered>, Error> {
        let mut path = subject_path(subject)?.fixed("metadata");
        for (name, value) in properties {
            path = path.param("key", name).param("value", value);
        }
        self.registered(self.about(subject, Question::get(path)), None).await
    }

    /// Registers `schema` as a version of `subject`, unless it is one already. The answer is
    /// kept, so registering the same again costs nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Incompatible`](crate::ErrorKind::Incompatible) when the earlier versions
    /// forbid it, [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is no schema, and as
    /// the [`Client`] says.
    pub async fn register(&self, subject: &Subject, schema: &NewSchema) -> Result<SchemaId, Error> {
        self.registration(subject, schema).await.map(|registration| registration.id)
    }

    /// Registers as [`register`](Self::register) does, and tells all that the registry said.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub async fn registration(
        &self,
        subject: &Subject,
        schema: &NewSchema,
    ) -> Result<Registration, Error> {
        let shared = &*self.shared;
        let key = (subject.clone(), schema.clone());
        let fetch = || async {
            let path = normalized(subject_path(subject)?.fixed("versions"), schema);
            let question = Question::post(path, schema.to_body()?);
            let registration = self.document(&question, Registration::read).await?;
            shared.recent.add(Made::Subject(subject.clone()));
            shared.recent.add(Made::Id(registration.id));
            shared.latest.forget(subject);
            shared.by_id.forget_missing(&registration.id);
            shared.by_id_in.forget_missing(&(subject.context(), registration.id));
            if let Some(guid) = registration.guid {
                shared.recent.add(Made::Guid(guid));
                shared.by_guid.forget_missing(&guid);
            }
            Ok(registration)
        };
        shared.registered.get_or_fetch(&key, fetch).await
    }

    /// Finds `schema` among the versions of `subject` without registering it. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it is not among them, and as the
    /// [`Client`] says.
    pub async fn lookup(
        &self,
        subject: &Subject,
        schema: &NewSchema,
    ) -> Result<Arc<Registered>, Error> {
        let path = normalized(subject_path(subject)?, schema);
        let question = Question::post(path, schema.to_body()?);
        let key = (subject.clone(), schema.clone());
        let expected = self.shared.registered.get(&key).is_some()
            && self.shared.recent.has(&Made::Subject(key.0));
        self.registered(question.expected(expected), None).await
    }

    /// Asks whether `schema` may follow version `with` of `subject`. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such subject or
    /// version, [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is no schema, and as
    /// the [`Client`] says.
    pub async fn is_compatible(
        &self,
        subject: &Subject,
        with: Version,
        schema: &NewSchema,
    ) -> Result<Compatibility, Error> {
        let path = compatibility_path(subject)?.display(with);
        self.compatibility(subject, path, schema).await
    }

    /// Asks whether `schema` may be registered under `subject`, which goes by the subject's
    /// level: the versions that this names are compared. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is no schema, and as the
    /// [`Client`] says.
    pub async fn may_register(
        &self,
        subject: &Subject,
        schema: &NewSchema,
    ) -> Result<Compatibility, Error> {
        self.compatibility(subject, compatibility_path(subject)?, schema).await
    }

    async fn compatibility(
        &self,
        subject: &Subject,
        path: Path,
        schema: &NewSchema,
    ) -> Result<Compatibility, Error> {
        let path = normalized(path, schema).param("verbose", "true");
        let question = self.about(subject, Question::post(path, schema.to_body()?));
        let answer: WireCompatibility = self.shared.exchange.json(&question).await?;
        Ok(answer.into())
    }

    /// A call whose answer is a registered schema.
    async fn registered(
        &self,
        question: Question,
        id: Option<SchemaId>,
    ) -> Result<Arc<Registered>, Error> {
        self.document(&question, |fields| Registered::read(fields, id).map(Arc::new)).await
    }

    /// A call whose answer is an object.
    pub(crate) async fn document<T>(
        &self,
        question: &Question,
        read: impl Fn(Document) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        let whole = |body: &bytes::Bytes| read(Document::parse(body).map_err(not_json)?);
        self.shared.exchange.ask(question, whole).await
    }

    /// A question about a subject, which must exist if it was made a moment ago.
    pub(crate) fn about(&self, subject: &Subject, question: Question) -> Question {
        question.expected(self.shared.recent.has(&Made::Subject(subject.clone())))
    }

    /// Forgets what is known about `subject`, because it was changed.
    pub(crate) fn forget_subject(&self, subject: &Subject) {
        self.shared.latest.forget(subject);
        self.shared.registered.forget_where(|(known, _)| known == subject);
        self.shared.recent.remove(&Made::Subject(subject.clone()));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.shared.exchange.endpoints().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

pub(crate) fn subject_path(subject: &Subject) -> Result<Path, Error> {
    Path::new().fixed("subjects").encoded(subject.as_str())
}

fn compatibility_path(subject: &Subject) -> Result<Path, Error> {
    let path = Path::new().fixed("compatibility").fixed("subjects");
    Ok(path.encoded(subject.as_str())?.fixed("versions"))
}

fn normalized(path: Path, schema: &NewSchema) -> Path {
    if schema.is_normalized() { path.param("normalize", "true") } else { path }
}

/// What this program registered a moment ago: a replica that says it does not exist is late.
struct Recent {
    grace: Duration,
    made: Mutex<LruCache<Made, Instant>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Made {
    Id(SchemaId),
    Guid(Guid),
    Subject(Subject),
}

impl Recent {
    fn new(capacity: NonZeroUsize, grace: Duration) -> Self {
        Self { grace, made: Mutex::new(LruCache::sparse(capacity)) }
    }

    fn add(&self, made: Made) {
        if !self.grace.is_zero() {
            let until = crate::cache::after(self.grace);
            self.made.lock().unwrap_or_else(PoisonError::into_inner).put(made, until);
        }
    }

    fn has(&self, made: &Made) -> bool {
        let known = self.made.lock().unwrap_or_else(PoisonError::into_inner).peek(made).copied();
        known.is_some_and(|until| Instant::now() < until)
    }

    fn remove(&self, made: &Made) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).pop(made);
    }
}

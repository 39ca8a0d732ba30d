//! Values to messages.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use avro_wire::{ContentId, Framing, GlobalId, Header, IdSpace, Schema, SchemaRef, compatibility};
use lru::LruCache;
use serde::Serialize;
use tokio::time::Instant;

use super::{codec, references};
use crate::cache::{Cache, after};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::id::{Guid, SchemaId};
use crate::schema::{NewSchema, Reference, Registered};
use crate::strategy::SubjectStrategy;
use crate::subject::{Part, Subject};

/// Which of a registry's schemas records are written by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaChoice {
    /// The record's own, which is registered when it is new. The default.
    #[default]
    Register,
    /// The record's own, which must be registered already.
    Lookup,
    /// The newest version of the subject, looked at again from time to time
    /// ([`Config::with_latest_ttl`](crate::Config::with_latest_ttl)).
    Latest(Strictness),
    /// The newest version of the subject whose metadata has these properties, looked at again as
    /// often.
    LatestWithMetadata(Vec<(Box<str>, Box<str>)>, Strictness),
    /// The one with this id.
    Id(SchemaId, Strictness),
    /// The one with this GUID.
    Guid(Guid, Strictness),
}

/// Whether records of one schema may be written by another that cannot read what they would be
/// by their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Strictness {
    /// No; this is found out before the first record. The default.
    #[default]
    Strict,
    /// Yes, as far as the values happen to fit.
    Lenient,
}

/// Encodes values as Avro and frames them with the id or GUID of their schema.
///
/// Cloning is cheap and shares what is known about topics and schemas.
///
#[cfg_attr(feature = "mock", doc = include_str!("example.md"))]
#[derive(Clone)]
pub struct AvroSerializer {
    client: Client,
    part: Part,
    strategy: SubjectStrategy,
    choice: SchemaChoice,
    framing: Framing,
    normalize: bool,
    known: Arc<Known>,
}

struct Known {
    /// By topic, then by the identity of the schema that records are given with.
    writers: Mutex<LruCache<String, LruCache<usize, Arc<AvroWriter>>>>,
    lookups: Cache<(Subject, NewSchema), Arc<Registered>>,
}

impl AvroSerializer {
    /// Serializes the `part` of records as Confluent's serializer does: schemas are registered
    /// under `<topic>-key` or `<topic>-value`, messages start with a zero and the id.
    #[must_use]
    pub fn new(client: Client, part: Part) -> Self {
        let (capacity, missing_ttl) = (client.shared.capacity, client.shared.missing_ttl);
        let lifetime = client.shared.latest_lifetime;
        Self {
            client,
            part,
            strategy: SubjectStrategy::default(),
            choice: SchemaChoice::default(),
            framing: Framing::CONFLUENT,
            normalize: false,
            known: Arc::new(Known {
                writers: Mutex::new(LruCache::sparse(capacity)),
                lookups: Cache::new(capacity, missing_ttl, move |_| lifetime),
            }),
        }
    }

    /// Finds subjects in another way.
    #[must_use]
    pub fn with_strategy(self, strategy: impl Into<SubjectStrategy>) -> Self {
        Self { strategy: strategy.into(), ..self.forgetful() }
    }

    /// Writes by another choice of schema.
    #[must_use]
    pub fn with_schema_choice(self, choice: SchemaChoice) -> Self {
        Self { choice, ..self.forgetful() }
    }

    /// Names the schema in another way: [`Framing::ConfluentHeader`] puts it into a record
    /// header.
    #[must_use]
    pub fn with_framing(self, framing: Framing) -> Self {
        Self { framing, ..self.forgetful() }
    }

    /// Has schemas compared by their meaning when they are registered or looked up; see
    /// [`NewSchema::with_normalization`].
    #[must_use]
    pub fn with_normalization(self) -> Self {
        Self { normalize: true, ..self.forgetful() }
    }

    /// The same serializer, sharing nothing with its clones.
    fn forgetful(self) -> Self {
        let (client, part) = (self.client.clone(), self.part);
        Self { known: Self::new(client, part).known, ..self }
    }

    /// Appends the message for `value` to `out`: encoded by `schema`, or by the one that the
    /// [choice](Self::with_schema_choice) puts in its place. Gives the header to add to the
    /// record, for a framing that uses one. The registry is asked for the first record of a
    /// topic and schema; pass clones of the same [`Schema`] for the further ones.
    ///
    /// # Errors
    /// [`ErrorKind::Unencodable`] when the value does not fit the schema, and as
    /// [`writer`](Self::writer). `out` is then as it was.
    pub async fn encode<T: Serialize + Sync + ?Sized>(
        &self,
        topic: &str,
        value: &T,
        schema: &Schema,
        out: &mut Vec<u8>,
    ) -> Result<Option<Header>, Error> {
        let writer = match self.try_writer(topic, schema) {
            Some(writer) => writer,
            None => self.writer(topic, schema).await?,
        };
        writer.encode(value, out)?;
        Ok(writer.header)
    }

    /// What writes records of `schema` to `topic`, for programs that want to ask once and then
    /// encode without a future. It does not notice a new [latest](SchemaChoice::Latest) version.
    ///
    /// # Errors
    /// [`ErrorKind::Incompatible`] when the schema may not be registered, or the chosen one is
    /// not fit for it; [`ErrorKind::Schema`] when the chosen one is no Avro schema;
    /// [`ErrorKind::Config`] when there is no subject, or the framing cannot name the schema;
    /// and as the [`Client`] says.
    pub async fn writer(&self, topic: &str, schema: &Schema) -> Result<Arc<AvroWriter>, Error> {
        self.writer_with(topic, schema, &[]).await
    }

    /// As [`writer`](Self::writer), for a schema whose text names types that other subjects
    /// define.
    ///
    /// # Errors
    /// As [`writer`](Self::writer).
    pub async fn writer_with(
        &self,
        topic: &str,
        schema: &Schema,
        references: &[Reference],
    ) -> Result<Arc<AvroWriter>, Error> {
        if let Some(writer) = self.try_writer(topic, schema) {
            return Ok(writer);
        }
        let writer = Arc::new(self.prepare(topic, schema, references).await?);
        let mut topics = self.known.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let capacity = topics.cap();
        topics
            .get_or_insert_mut_ref(topic, || LruCache::sparse(capacity))
            .put(identity(schema), Arc::clone(&writer));
        Ok(writer)
    }

    /// What [`writer`](Self::writer) has brought for this topic and schema, if it is still good.
    #[must_use]
    pub fn try_writer(&self, topic: &str, schema: &Schema) -> Option<Arc<AvroWriter>> {
        let mut topics = self.known.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = topics.get_mut(topic)?.get(&identity(schema))?;
        if writer.until.is_some_and(|until| until <= Instant::now()) {
            return None;
        }
        Some(Arc::clone(writer))
    }

    async fn prepare(
        &self,
        topic: &str,
        own: &Schema,
        references: &[Reference],
    ) -> Result<AvroWriter, Error> {
        let subject = self.strategy.subject(&self.client, topic, self.part, own.name()).await?;
        let mut names = Names { id: None, guid: None };
        let mut until = None;
        let schema = match &self.choice {
            SchemaChoice::Register | SchemaChoice::Lookup => {
                let mut new = NewSchema::new(own.as_str()).with_references(references);
                if self.normalize {
                    new = new.with_normalization();
                }
                if self.choice == SchemaChoice::Register {
                    let registration = self.client.registration(&subject, &new).await?;
                    names = Names { id: Some(registration.id), guid: registration.guid };
                }
                if names.id.is_none()
                    || (names.guid.is_none() && self.framing == Framing::ConfluentGuid)
                {
                    let fetch = || self.client.lookup(&subject, &new);
                    let key = (subject.clone(), new.clone());
                    names = Names::of(&*self.known.lookups.get_or_fetch(&key, fetch).await?);
                }
                own.clone()
            }
            SchemaChoice::Latest(strictness) => {
                // The client keeps it for its time: looking often costs no request.
                until = Some(after(LOOK_AGAIN.min(self.client.shared.latest_lifetime.fresh)));
                let latest = self.client.latest(&subject).await?;
                names = Names::of(&latest);
                self.fitting(latest.definition().clone(), own, *strictness).await?
            }
            SchemaChoice::LatestWithMetadata(properties, strictness) => {
                until = Some(after(self.client.shared.latest_lifetime.fresh));
                let properties: Vec<(&str, &str)> =
                    properties.iter().map(|(name, value)| (&**name, &**value)).collect();
                let latest = self.client.latest_with_metadata(&subject, &properties).await?;
                names = Names::of(&latest);
                self.fitting(latest.definition().clone(), own, *strictness).await?
            }
            SchemaChoice::Id(id, strictness) => {
                let registered = self.client.schema_for(*id, &subject).await?;
                names = Names::of(&registered);
                self.fitting(registered.definition().clone(), own, *strictness).await?
            }
            SchemaChoice::Guid(guid, strictness) => {
                names.guid = Some(*guid);
                if !matches!(self.framing, Framing::ConfluentGuid | Framing::ConfluentHeader) {
                    let here = self.client.shared.context_of(&subject);
                    let ids = self.client.ids_of(*guid).await?;
                    names.id = ids.into_iter().find(|id| id.context == here).map(|found| found.id);
                }
                let definition = self.client.schema_by_guid(*guid).await?;
                self.fitting((*definition).clone(), own, *strictness).await?
            }
        };
        let reference = names.reference(self.framing, &schema)?;
        let unfit = |error| codec(ErrorKind::Config, error);
        let header = self.framing.header(self.part.into(), reference).map_err(unfit)?;
        // Whether the framing can name the schema shows here, not with the first record.
        self.framing.write_header(reference, &mut Vec::new()).map_err(unfit)?;
        let key = own.clone();
        Ok(AvroWriter {
            subject,
            schema,
            reference,
            framing: self.framing,
            header,
            until,
            _key: key,
        })
    }

    /// The Avro schema of `chosen`, if records of `own` may be written by it.
    async fn fitting(
        &self,
        chosen: crate::schema::Definition,
        own: &Schema,
        strictness: Strictness,
    ) -> Result<Schema, Error> {
        let chosen = references::parse(&self.client, Arc::new(chosen)).await?;
        if strictness == Strictness::Strict
            && let Some(problem) = compatibility::problems(&chosen, own).first()
        {
            return Err(Error::build(ErrorKind::Incompatible)
                .with_detail("the chosen schema cannot read records of this one")
                .with_source(problem.to_string())
                .into());
        }
        Ok(chosen)
    }
}

impl fmt::Debug for AvroSerializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvroSerializer")
            .field("client", &self.client)
            .field("part", &self.part)
            .field("strategy", &self.strategy)
            .field("choice", &self.choice)
            .field("framing", &self.framing)
            .field("normalize", &self.normalize)
            .finish_non_exhaustive()
    }
}

/// Writes the records of one schema to one topic: no waiting, no request, no lock.
#[derive(Clone, Debug)]
pub struct AvroWriter {
    subject: Subject,
    schema: Schema,
    reference: SchemaRef,
    framing: Framing,
    header: Option<Header>,
    until: Option<Instant>,
    /// Holds the schema that this was made for, so that no other one can have its identity.
    _key: Schema,
}

impl AvroWriter {
    /// Appends the message for `value` to `out`.
    ///
    /// # Errors
    /// [`ErrorKind::Unencodable`] when the value does not fit the schema. `out` is then as it
    /// was.
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        self.framing
            .write_header(self.reference, out)
            .and_then(|()| avro_wire::encode(value, &self.schema, out))
            .map_err(|error| {
                out.truncate(start);
                codec(ErrorKind::Unencodable, error)
            })
    }

    /// The header that each record needs, for a framing that uses one.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The schema that records are written by.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What messages or headers say about the schema.
    #[must_use]
    pub fn schema_ref(&self) -> SchemaRef {
        self.reference
    }

    /// The subject of the schema.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
}

/// What a schema can be named by.
struct Names {
    id: Option<SchemaId>,
    guid: Option<Guid>,
}

impl Names {
    fn of(registered: &Registered) -> Self {
        Self { id: Some(registered.id()), guid: registered.guid() }
    }

    /// What `framing` wants. The ids of Apicurio's compatible API are its content ids, or in
    /// its legacy mode its global ones.
    fn reference(&self, framing: Framing, schema: &Schema) -> Result<SchemaRef, Error> {
        let id = self.id.map(SchemaId::get);
        let guid = self.guid.map(|guid| SchemaRef::Guid(guid.get()));
        let found = match framing {
            Framing::ConfluentGuid => guid,
            Framing::ConfluentHeader => guid.or_else(|| id.map(SchemaRef::Id)),
            Framing::ConfluentPrefix => id.map(SchemaRef::Id).or(guid),
            Framing::Apicurio4(space)
            | Framing::Apicurio8(space)
            | Framing::ApicurioOptimistic(space)
            | Framing::ApicurioHeader(space) => id.map(|id| match space {
                IdSpace::Content => SchemaRef::ContentId(ContentId::new(id.into())),
                IdSpace::Global => SchemaRef::GlobalId(GlobalId::new(id.into())),
            }),
            Framing::SingleObject => Some(SchemaRef::Fingerprint(schema.fingerprint())),
            _ => id.map(SchemaRef::Id),
        };
        found.ok_or_else(|| {
            Error::config("the registry gives no name of the kind the framing wants")
        })
    }
}

/// How long a writer takes the latest version for what it was.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What tells a schema from others while it is held: where its text is.
fn identity(schema: &Schema) -> usize {
    schema.as_str().as_ptr().addr()
}

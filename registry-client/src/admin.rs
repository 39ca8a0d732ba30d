//! The calls that people and tools make: lists, deletions, settings, modes. Nothing is kept.

use serde::Deserialize;

use crate::client::{Client, subject_path};
use crate::endpoint::Path;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Question, not_json};
use crate::id::{Guid, SchemaId, Version};
use crate::listing::{Deletion, Listing};
use crate::schema::{
    ContextId, Registered, SchemaType, SubjectVersion, WireContextId, WireSubjectVersion,
};
use crate::settings::{Mode, Scope, Settings};
use crate::subject::{Context, Part, Subject};
use crate::transport::Method;

/// Lists.
impl Client {
    /// All subjects. Not kept.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn subjects(&self) -> Result<Vec<Subject>, Error> {
        self.list_subjects(&Listing::new()).await
    }

    /// Subjects. Not kept.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn list_subjects(&self, listing: &Listing) -> Result<Vec<Subject>, Error> {
        let path = listing.query(Path::new().fixed("subjects"), "subjectPrefix");
        let names: Vec<Box<str>> = self.shared.exchange.json(&Question::get(path)).await?;
        Ok(names.iter().map(|name| Subject::new(name)).collect())
    }

    /// The versions of `subject`, ascending. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject, and as the [`Client`] says.
    pub async fn versions(&self, subject: &Subject) -> Result<Vec<Version>, Error> {
        self.list_versions(subject, &Listing::new()).await
    }

    /// Versions of `subject`, ascending. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject, and as the [`Client`] says.
    pub async fn list_versions(
        &self,
        subject: &Subject,
        listing: &Listing,
    ) -> Result<Vec<Version>, Error> {
        let path = listing.query(subject_path(subject)?.fixed("versions"), "prefix");
        let question = self.about(subject, Question::get(path));
        let numbers: Vec<u32> = self.shared.exchange.json(&question).await?;
        Ok(numbers.into_iter().map(Version::new).collect())
    }

    /// Schemas of all subjects. Not kept.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn list_schemas(&self, listing: &Listing) -> Result<Vec<Registered>, Error> {
        let path = listing.query(Path::new().fixed("schemas"), "subjectPrefix");
        let found: Vec<_> = self.shared.exchange.json(&Question::get(path)).await?;
        found.into_iter().map(|fields| Registered::read(fields, None)).collect()
    }

    /// The languages of schemas that the registry understands. Not kept.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn schema_types(&self) -> Result<Vec<SchemaType>, Error> {
        let path = Path::new().fixed("schemas").fixed("types");
        let names: Vec<Box<str>> = self.shared.exchange.json(&Question::get(path)).await?;
        Ok(names.iter().map(|name| (&**name).into()).collect())
    }

    /// The contexts. Not kept. Apicurio's registry has only the default one.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn list_contexts(&self, listing: &Listing) -> Result<Vec<Context>, Error> {
        let path = listing.query(Path::new().fixed("contexts"), "contextPrefix");
        let names: Vec<Box<str>> = self.shared.exchange.json(&Question::get(path)).await?;
        Ok(names.iter().map(|name| Context::new(name)).collect())
    }

    /// The subjects that hold the schema with this id. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such id, and as the [`Client`] says.
    pub async fn subjects_of(
        &self,
        id: SchemaId,
        listing: &Listing,
    ) -> Result<Vec<Subject>, Error> {
        let path = Path::new().fixed("schemas").fixed("ids").display(id).fixed("subjects");
        let question = Question::get(listing.query(path, "subject"));
        let names: Vec<Box<str>> = self.shared.exchange.json(&question).await?;
        Ok(names.iter().map(|name| Subject::new(name)).collect())
    }

    /// The subjects and versions that hold the schema with this id. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such id, and as the [`Client`] says.
    pub async fn versions_of(
        &self,
        id: SchemaId,
        listing: &Listing,
    ) -> Result<Vec<SubjectVersion>, Error> {
        let path = Path::new().fixed("schemas").fixed("ids").display(id).fixed("versions");
        let question = Question::get(listing.query(path, "subject"));
        let places: Vec<WireSubjectVersion> = self.shared.exchange.json(&question).await?;
        Ok(places.into_iter().map(Into::into).collect())
    }

    /// The ids that the schema with this GUID has, one for each context. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such GUID, and as the [`Client`] says.
    pub async fn ids_of(&self, guid: Guid) -> Result<Vec<ContextId>, Error> {
        let path = Path::new().fixed("schemas").fixed("guids").display(guid).fixed("ids");
        let ids: Vec<WireContextId> = self.shared.exchange.json(&Question::get(path)).await?;
        Ok(ids.into_iter().map(Into::into).collect())
    }

    /// The subject that the registry associates with the `part` of records in `topic`, if it
    /// does: Confluent's knows associations since 8.2. `kafka_cluster` is the id of the Kafka
    /// cluster the topic is in; without it any cluster counts. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when there is more than one, and as the [`Client`] says.
    pub async fn associated_subject(
        &self,
        topic: &str,
        part: Part,
        kafka_cluster: Option<&str>,
    ) -> Result<Option<Subject>, Error> {
        let kind = match part {
            Part::Key => "key",
            Part::Value => "value",
        };
        let path = Path::new()
            .fixed("associations")
            .fixed("resources")
            .encoded(kafka_cluster.unwrap_or("-"))?
            .encoded(topic)?
            .param("resourceType", "topic")
            .param("associationType", kind);
        let found: Result<Vec<WireAssociation>, Error> =
            self.shared.exchange.json(&Question::get(path)).await;
        let mut found = match found {
            Ok(found) => found.into_iter(),
            // No association, or a registry that knows none.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match (found.next(), found.next()) {
            (_, Some(_)) => {
                Err(Error::config("the registry associates several subjects with the topic"))
            }
            (found, None) => Ok(found.map(|association| Subject::new(&association.subject))),
        }
    }

    /// Ids of the schemas that refer to this version of `subject`. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject or version, and as the [`Client`]
    /// says.
    pub async fn referenced_by(
        &self,
        subject: &Subject,
        version: Version,
        listing: &Listing,
    ) -> Result<Vec<SchemaId>, Error> {
        let path = subject_path(subject)?.fixed("versions").display(version).fixed("referencedby");
        let question = self.about(subject, Question::get(listing.query(path, "subject")));
        let ids: Vec<u32> = self.shared.exchange.json(&question).await?;
        Ok(ids.into_iter().map(SchemaId::new).collect())
    }
}

/// Texts.
impl Client {
    /// Only the text of the schema with this id. `format` is one that the registry has for the
    /// language, such as `resolved` for Avro with its references put in. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such id, and as the [`Client`] says.
    pub async fn schema_text(&self, id: SchemaId, format: Option<&str>) -> Result<String, Error> {
        let path = Path::new().fixed("schemas").fixed("ids").display(id).fixed("schema");
        self.text(&Question::get(formatted(path, format))).await
    }

    /// Only the text of one version of `subject`, in a `format` as
    /// [`schema_text`](Self::schema_text) takes it. Not kept.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject or version, and as the [`Client`]
    /// says.
    pub async fn version_text(
        &self,
        subject: &Subject,
        version: Version,
        format: Option<&str>,
    ) -> Result<String, Error> {
        let path = subject_path(subject)?.fixed("versions").display(version).fixed("schema");
        self.text(&self.about(subject, Question::get(formatted(path, format)))).await
    }

    async fn text(&self, question: &Question) -> Result<String, Error> {
        let read = |body: &bytes::Bytes| {
            String::from_utf8(body.to_vec()).map_err(|e| {
                Error::build(ErrorKind::Response)
                    .with_detail("the text is not UTF-8")
                    .with_source(e.utf8_error())
                    .into()
            })
        };
        self.shared.exchange.ask(question, read).await
    }
}

/// Deletions. One whose answer got lost is sent again, so it may say that there is nothing to
/// delete any more.
impl Client {
    /// Deletes all versions of `subject`; the answer names them.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such subject, when it is deleted already (code
    /// 40404), or when it is to be deleted permanently and is not deleted softly (40405);
    /// [`ErrorKind::Invalid`] when another schema refers to it (42206); and as the [`Client`]
    /// says.
    pub async fn delete_subject(
        &self,
        subject: &Subject,
        deletion: Deletion,
    ) -> Result<Vec<Version>, Error> {
        let question = Question::new(Method::Delete, permanent(subject_path(subject)?, deletion));
        let result = self.shared.exchange.json::<Vec<u32>>(&question).await;
        self.forget_subject(subject);
        Ok(result?.into_iter().map(Version::new).collect())
    }

    /// Deletes one version of `subject`; the answer names it.
    ///
    /// # Errors
    /// As [`delete_subject`](Self::delete_subject), with the codes 40402, 40406 and 40407 for
    /// the version.
    pub async fn delete_version(
        &self,
        subject: &Subject,
        version: Version,
        deletion: Deletion,
    ) -> Result<Version, Error> {
        let path = subject_path(subject)?.fixed("versions").display(version);
        let question = Question::new(Method::Delete, permanent(path, deletion));
        let result = self.shared.exchange.json::<u32>(&question).await;
        self.forget_subject(subject);
        result.map(Version::new)
    }

    /// Deletes a context that holds nothing any more.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is something in it (code 42211), and as the [`Client`]
    /// says.
    pub async fn delete_context(&self, context: &Context) -> Result<(), Error> {
        let path = Path::new().fixed("contexts").encoded(context.as_str())?;
        self.shared.exchange.ask(&Question::new(Method::Delete, path), |_| Ok(())).await
    }
}

/// Settings and modes.
impl Client {
    /// The settings of the registry or of a subject.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when a subject has none of its own (code 40408), and as the
    /// [`Client`] says.
    pub async fn settings(&self, scope: &Scope) -> Result<Settings, Error> {
        let question = Question::get(effective(scoped("config", scope)?, scope));
        self.shared.exchange.ask(&question, read_settings).await
    }

    /// Changes settings of the registry or of a subject, those that `settings` has; the answer
    /// repeats them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a level that the registry does not know (code 42203), and as
    /// the [`Client`] says.
    pub async fn update_settings(
        &self,
        scope: &Scope,
        settings: &Settings,
    ) -> Result<Settings, Error> {
        let question = Question::new(Method::Put, scoped("config", scope)?)
            .with_body(settings.to_body().into_bytes());
        self.shared.exchange.ask(&question, read_settings).await
    }

    /// Removes the settings of a subject, or brings those of the registry back to what they were
    /// at first; the answer tells what they were before.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when a subject has none of its own, and as the [`Client`] says.
    pub async fn delete_settings(&self, scope: &Scope) -> Result<Settings, Error> {
        let question = Question::new(Method::Delete, scoped("config", scope)?);
        self.shared.exchange.ask(&question, read_settings).await
    }

    /// The mode of the registry or of a subject.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when a subject has none of its own (code 40409), and as the
    /// [`Client`] says.
    pub async fn mode(&self, scope: &Scope) -> Result<Mode, Error> {
        let question = Question::get(effective(scoped("mode", scope)?, scope));
        self.shared.exchange.ask(&question, read_mode).await
    }

    /// Changes the mode of the registry or of a subject. `force` permits
    /// [`Mode::Import`] where there are schemas already.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a mode that the registry does not know (code 42204) or does
    /// not permit (42205), and as the [`Client`] says.
    pub async fn update_mode(
        &self,
        scope: &Scope,
        mode: &Mode,
        force: Force,
    ) -> Result<Mode, Error> {
        let mut path = scoped("mode", scope)?;
        if force == Force::Yes {
            path = path.param("force", "true");
        }
        let body = serde_json::json!({ "mode": mode.as_str() }).to_string();
        let question = Question::new(Method::Put, path).with_body(body.into_bytes());
        self.shared.exchange.ask(&question, read_mode).await
    }

    /// Removes the mode of a subject; the answer tells what it was. Confluent's registry also
    /// takes back that of the registry.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when a subject has none of its own, and as the [`Client`] says.
    pub async fn delete_mode(&self, scope: &Scope) -> Result<Mode, Error> {
        let question = Question::new(Method::Delete, scoped("mode", scope)?);
        self.shared.exchange.ask(&question, read_mode).await
    }
}

/// Whether to insist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Force {
    /// No.
    No,
    /// Yes.
    Yes,
}

/// About the server.
impl Client {
    /// Version and commit of the registry's program. Apicurio's does not tell.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn server_version(&self) -> Result<ServerVersion, Error> {
        self.shared.exchange.json(&Question::get(about_server("version"))).await
    }

    /// Name of the cluster of registries that this one is part of, and of the Kafka cluster
    /// where it keeps its schemas. Apicurio's does not tell.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn server_id(&self) -> Result<ServerId, Error> {
        let answer: WireServerId =
            self.shared.exchange.json(&Question::get(about_server("id"))).await?;
        let clusters = answer.scope.and_then(|scope| scope.clusters).unwrap_or_default();
        Ok(ServerId {
            registry_cluster: clusters.registry.unwrap_or_default(),
            kafka_cluster: clusters.kafka,
        })
    }

    /// What the registry tells about how it is deployed, as the JSON it is. Apicurio's does not
    /// tell.
    ///
    /// # Errors
    /// As the [`Client`] says.
    pub async fn server_deployment(&self) -> Result<String, Error> {
        let question = Question::get(about_server("deployment"));
        self.document(&question, |fields| Ok(fields.to_json())).await
    }
}

/// Which program a registry runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerVersion {
    /// Its version.
    pub version: String,
    /// The commit it was built from.
    #[serde(default)]
    pub commit_id: Option<String>,
}

/// Which cluster a registry is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerId {
    /// Name of the cluster of registries.
    pub registry_cluster: String,
    /// Id of the Kafka cluster where they keep their schemas.
    pub kafka_cluster: Option<String>,
}

#[derive(Deserialize)]
struct WireAssociation {
    subject: Box<str>,
}

#[derive(Deserialize)]
struct WireServerId {
    scope: Option<WireScope>,
}

#[derive(Deserialize)]
struct WireScope {
    clusters: Option<WireClusters>,
}

#[derive(Default, Deserialize)]
struct WireClusters {
    #[serde(rename = "schema-registry-cluster")]
    registry: Option<String>,
    #[serde(rename = "kafka-cluster")]
    kafka: Option<String>,
}

#[derive(Deserialize)]
struct WireMode {
    mode: Box<str>,
}

fn read_settings(body: &bytes::Bytes) -> Result<Settings, Error> {
    Settings::from_answer(body).map_err(not_json)
}

fn read_mode(body: &bytes::Bytes) -> Result<Mode, Error> {
    let answer: WireMode = serde_json::from_slice(body).map_err(not_json)?;
    Ok((&*answer.mode).into())
}

fn scoped(what: &str, scope: &Scope) -> Result<Path, Error> {
    let path = Path::new().fixed(what);
    match scope {
        Scope::Global => Ok(path),
        Scope::Subject(subject) | Scope::Effective(subject) => path.encoded(subject.as_str()),
    }
}

fn effective(path: Path, scope: &Scope) -> Path {
    match scope {
        Scope::Effective(_) => path.param("defaultToGlobal", "true"),
        Scope::Global | Scope::Subject(_) => path,
    }
}

fn permanent(path: Path, deletion: Deletion) -> Path {
    match deletion {
        Deletion::Soft => path,
        Deletion::Permanent => path.param("permanent", "true"),
    }
}

fn formatted(path: Path, format: Option<&str>) -> Path {
    match format {
        Some(format) => path.param("format", format),
        None => path,
    }
}

fn about_server(what: &str) -> Path {
    Path::new().fixed("v1").fixed("metadata").fixed(what)
}

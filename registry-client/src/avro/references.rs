//! A schema and those it refers to, put together by name.

use std::collections::HashMap;
use std::sync::Arc;

use avro_wire::Schema;

use super::codec;
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::id::Version;
use crate::schema::{Definition, Registered, SchemaType};
use crate::subject::Subject;

/// How far references may lead, and how many there may be: a registry's answers are input.
const MAX_DEPTH: usize = 32;
const MAX_SCHEMAS: usize = 1_000;

/// The place of a definition.
type Place = (Subject, Version);

/// A definition whose references are being collected.
struct Open {
    place: Option<Place>,
    definition: Held,
    next: usize,
}

/// Keeps a definition where it came from.
enum Held {
    Root(Arc<Definition>),
    Referred(Arc<Registered>),
}

impl Held {
    fn definition(&self) -> &Definition {
        match self {
            Self::Root(definition) => definition,
            Self::Referred(registered) => registered.definition(),
        }
    }
}

/// The Avro schema of `root`, with everything it refers to, however often and along whatever
/// ways.
pub(super) async fn parse(client: &Client, root: Arc<Definition>) -> Result<Schema, Error> {
    // `None` while its own references are collected: meeting it then is a cycle.
    let mut known: HashMap<Place, Option<Schema>> = HashMap::new();
    let mut open = vec![Open { place: None, definition: Held::Root(root), next: 0 }];
    while let Some(top) = open.last_mut() {
        let definition = top.definition.definition();
        if definition.schema_type() != &SchemaType::Avro {
            return Err(unusable("it is not Avro"));
        }
        if let Some(reference) = definition.references().get(top.next) {
            top.next += 1;
            let place = (reference.subject.clone(), reference.version);
            match known.get(&place) {
                Some(Some(_)) => continue,
                Some(None) => return Err(unusable("its references go in a circle")),
                None if open.len() > MAX_DEPTH || known.len() >= MAX_SCHEMAS => {
                    return Err(unusable("its references lead too far"));
                }
                None => {}
            }
            let referred = client.version(&place.0, place.1).await?;
            known.insert(place.clone(), None);
            open.push(Open { place: Some(place), definition: Held::Referred(referred), next: 0 });
            continue;
        }
        let parts: Vec<Schema> = definition
            .references()
            .iter()
            .filter_map(|r| known.get(&(r.subject.clone(), r.version)).cloned().flatten())
            .collect();
        let schema = Schema::parse_with(definition.schema(), &parts)
            .map_err(|error| codec(ErrorKind::Schema, error))?;
        match open.pop().and_then(|done| done.place) {
            Some(place) => known.insert(place, Some(schema)),
            None => return Ok(schema),
        };
    }
    Err(unusable("there is none"))
}

fn unusable(detail: &'static str) -> Error {
    Error::build(ErrorKind::Schema).with_detail(detail).into()
}

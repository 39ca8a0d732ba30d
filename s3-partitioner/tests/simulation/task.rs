use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3_partitioner::{
    CommitPlan, Intent, OffsetCommit, Paths, Reason, Record, Rotate, Rotation, SchemaChange,
    SchemaKey,
};

use crate::random::Random;
use crate::settings::Policy;
use crate::world::{Object, Outcome, Row, World};

/// What an owner of the partition does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Step 1 is left out.
    NoIntent,
    /// Step 1 is sent, and its answer not waited for.
    NotWaitingForTheIntent,
    /// Step 1 is refused, and the objects are written all the same.
    RefusalIgnored,
    /// Step 1 does not say where the wall clock went on.
    ClockForgotten,
    /// What an earlier owner announced is not looked at.
    EndForgotten,
    /// Step 3 commits an offset too few.
    EndOffByOne,
}

/// One owner of the partition. It does one thing to the outside in each step.
#[derive(Debug)]
pub(crate) struct Task<'p> {
    policy: &'p Policy,
    flaw: Flaw,
    generation: u64,
    plan: CommitPlan,
    rotation: Rotation,
    paths: Paths,
    position: i64,
    /// Of the poll under way, and how many more records it brings.
    now: SystemTime,
    polled: u64,
    open: Vec<(usize, String, Object)>,
    doing: Doing,
    pub(crate) shutting_down: bool,
}

#[derive(Clone, Debug)]
enum Doing {
    Reading,
    Announcing(OffsetCommit),
    Completing,
    Committing(OffsetCommit),
}

impl<'p> Task<'p> {
    /// Takes the partition over in the present generation.
    pub(crate) fn join(
        world: &mut World<'_>,
        policy: &'p Policy,
        flaw: Flaw,
    ) -> Result<Self, String> {
        let (offset, metadata) = world.committed.clone();
        let plan = match flaw {
            Flaw::EndForgotten => CommitPlan::new(offset),
            _ => CommitPlan::recover(offset, &metadata).map_err(|error| error.to_string())?,
        };
        if plan.announced_end().is_some() {
            world.count("finished for another");
        }
        Ok(Self {
            policy,
            flaw,
            generation: world.generation,
            rotation: plan.rotation(policy.rotation.clone()),
            paths: policy.settings.paths(),
            plan,
            position: offset,
            now: UNIX_EPOCH,
            polled: 0,
            open: Vec::new(),
            doing: Doing::Reading,
            shutting_down: false,
        })
    }

    pub(crate) fn crash_name(&self) -> &'static str {
        match self.doing {
            Doing::Reading => "crashed while reading",
            Doing::Announcing(_) => "crashed while announcing",
            Doing::Completing => "crashed while completing",
            Doing::Committing(_) => "crashed while committing",
        }
    }

    pub(crate) fn has_read_all(&self, world: &World<'_>) -> bool {
        self.position >= world.end && self.generation == world.generation
    }

    pub(crate) fn is_done(&self, world: &World<'_>) -> bool {
        self.has_read_all(world)
            && self.rotation.record_count() == 0
            && matches!(self.doing, Doing::Reading)
    }

    /// Takes one step; `false` if it gives the partition up, or there is nothing left to do.
    pub(crate) fn step(
        &mut self,
        world: &mut World<'_>,
        random: &mut Random,
    ) -> Result<bool, String> {
        match self.doing.clone() {
            Doing::Reading => {
                if self.polled == 0 || self.position >= world.end {
                    self.polled = random.between(1, world.largest_poll);
                    world.pass_time(random);
                    self.now = UNIX_EPOCH + Duration::from_millis(world.now_ms.unsigned_abs());
                }
                if self.position < world.end {
                    self.polled -= 1;
                    return self.read(world);
                }
                let close = self.rotation.passed(self.position) || self.rotation.due(self.now);
                if close || self.shutting_down {
                    return self.close(world);
                }
                Ok(!self.shutting_down)
            }
            Doing::Announcing(step) => self.announce(&step, world, random),
            Doing::Completing => self.complete(world, random),
            Doing::Committing(step) => self.commit(&step, world, random),
        }
    }

    fn read(&mut self, world: &mut World<'_>) -> Result<bool, String> {
        let offset = self.position;
        let Some(row) = world.read(offset) else {
            self.position += 1;
            return Ok(true);
        };
        let record = Record::new("t", 0, offset)
            .with_timestamp_ms(row.timestamp_ms)
            .with_size(row.size)
            .with_value(&row);
        let policy = self.policy;
        let compare = |record: SchemaKey, file: SchemaKey| {
            if !policy.projects {
                return Ok(Some(SchemaChange::Schema));
            }
            let schema = |key: SchemaKey| &policy.schemas[key.get() as usize];
            policy.settings.compatibility().change(schema(record), schema(file))
        };
        let schema = SchemaKey::new(row.schema);
        let decision =
            self.rotation.place_with(&mut self.paths, &record, schema, self.now, compare);
        let decision = match decision {
            Ok(decision) => decision,
            Err(error) if error.is_record_error() => {
                world.count("bad records");
                world.dead_letter(offset);
                self.rotation.skipped(offset);
                self.position += 1;
                return Ok(true);
            }
            Err(error) => return Err(error.to_string()),
        };
        if decision == Rotate::Before {
            return self.close(world);
        }
        self.position += 1;
        if !row.writable {
            world.count("rejected");
            self.rotation.rejected();
            return Ok(true);
        }
        self.write(offset, &row, world);
        if decision == Rotate::After { self.close(world) } else { Ok(true) }
    }

    fn write(&mut self, offset: i64, row: &Row, world: &mut World<'_>) {
        let Some(file) = self.rotation.file() else { return };
        let at = self.open.iter().position(|(number, ..)| *number == file.number());
        let at = at.unwrap_or_else(|| {
            let mut name = String::new();
            let settings = &self.policy.settings;
            settings.namer().file("t", 0, file, settings.extension(), &mut name);
            self.open.push((file.number(), name, Object::default()));
            self.open.len() - 1
        });
        if row.schema != file.schema().get() {
            world.count("projected");
        }
        let object = &mut self.open[at].2;
        let _ = writeln!(object.bytes, "{offset} {} as {}", row.schema, file.schema().get());
        object.offsets.push(offset);
    }

    fn close(&mut self, world: &mut World<'_>) -> Result<bool, String> {
        if let Some(reason) = self.rotation.reason() {
            world.count(match reason {
                Reason::Bytes => "rotated: Bytes",
                Reason::Forced => "rotated: Forced",
                Reason::Idle => "rotated: Idle",
                Reason::Interval => "rotated: Interval",
                Reason::Metadata => "rotated: Metadata",
                Reason::OpenFiles => "rotated: OpenFiles",
                Reason::PartitionChange => "rotated: PartitionChange",
                Reason::Schedule => "rotated: Schedule",
                Reason::Schema => "rotated: Schema",
                Reason::Size => "rotated: Size",
                _ => "rotated: otherwise",
            });
        }
        match self.plan.intent(&self.rotation).map_err(|error| error.to_string())? {
            Intent::Nothing => return Ok(!self.shutting_down),
            Intent::Bound => return Ok(false),
            Intent::Skip(step) => {
                world.count("passed over");
                self.doing = Doing::Committing(step);
            }
            Intent::Announced => self.doing = Doing::Completing,
            Intent::Announce(step) => {
                if step.metadata().matches(',').count() > 3 {
                    world.count("breakpoints");
                }
                if step.metadata().len() > self.policy.metadata_limit {
                    return Err(format!("more metadata than allowed: {}", step.metadata()));
                }
                self.doing = Doing::Announcing(step);
            }
        }
        Ok(true)
    }

    fn announce(
        &mut self,
        step: &OffsetCommit,
        world: &mut World<'_>,
        random: &mut Random,
    ) -> Result<bool, String> {
        let metadata = match self.flaw {
            Flaw::ClockForgotten => {
                let end = step.metadata().split(",\"clock\"").next().unwrap_or("");
                format!("{}}}", end.trim_end_matches('}'))
            }
            _ => step.metadata().to_owned(),
        };
        let outcome = match self.flaw {
            Flaw::NoIntent => Outcome::Done,
            _ => world.commit(self.generation, step.offset(), &metadata, random),
        };
        match outcome {
            Outcome::Done => self.plan.acknowledged(),
            Outcome::Unknown if self.flaw == Flaw::NotWaitingForTheIntent => {
                self.plan.acknowledged();
            }
            Outcome::Refused if self.flaw == Flaw::RefusalIgnored => self.plan.acknowledged(),
            Outcome::Refused => {
                self.plan.refused();
                assert!(self.plan.objects(&self.rotation).is_err(), "refused, yet uploaded");
                return Ok(false);
            }
            Outcome::Unknown => return Ok(self.again("announced again", world, random)),
        }
        self.doing = Doing::Completing;
        Ok(true)
    }

    fn complete(&mut self, world: &mut World<'_>, random: &mut Random) -> Result<bool, String> {
        let files = self.plan.objects(&self.rotation).map_err(|error| error.to_string())?;
        let next = files
            .filter_map(|file| self.open.iter().position(|(open, ..)| *open == file.number()))
            .next();
        if let Some(next) = next {
            let (_, name, object) = &self.open[next];
            match world.put(self.generation, name, object, random)? {
                Outcome::Done => drop(self.open.remove(next)),
                _ => return Ok(self.again("uploads tried again", world, random)),
            }
            return Ok(true);
        }
        let step = self.plan.commit().map_err(|error| error.to_string())?;
        self.doing = Doing::Committing(step);
        Ok(true)
    }

    fn commit(
        &mut self,
        step: &OffsetCommit,
        world: &mut World<'_>,
        random: &mut Random,
    ) -> Result<bool, String> {
        let offset = step.offset() - i64::from(self.flaw == Flaw::EndOffByOne);
        match world.commit(self.generation, offset, step.metadata(), random) {
            Outcome::Done => self.plan.acknowledged(),
            Outcome::Unknown => return Ok(self.again("committed again", world, random)),
            Outcome::Refused => {
                self.plan.refused();
                return Ok(false);
            }
        }
        self.rotation.closed(self.now);
        self.doing = Doing::Reading;
        Ok(true)
    }

    /// Tries once more, or gives the partition up.
    fn again(&self, name: &'static str, world: &mut World<'_>, random: &mut Random) -> bool {
        let again = random.one_in(2);
        if again {
            world.count(name);
        }
        again
    }
}

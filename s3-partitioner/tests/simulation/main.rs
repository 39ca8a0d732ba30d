//! The commit plan against a simulated log, broker and store, in random histories of records,
//! rotations, crashes between any two steps, rebalances, owners that do not know they lost the
//! partition, lost answers, and failing uploads.
//!
//! `SIMULATION_HISTORIES` and `SIMULATION_SEED` choose how many and which. A failed history says
//! its seed; `SIMULATION_HISTORIES=1 SIMULATION_SEED=<seed>` runs it alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed call is a failed test")]
#![allow(clippy::indexing_slicing, reason = "the indices are the test's own")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "all numbers are small"
)]
#![allow(clippy::print_stdout, reason = "the figures are the point of the run")]

mod random;
mod settings;
mod task;
mod world;

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use random::Random;
use settings::Policy;
use task::{Flaw, Task};
use world::World;

/// How often things happened over many histories, by name.
type Counts = BTreeMap<&'static str, u64>;

/// A few seconds in release; about half a minute on two cores without optimisation.
const HISTORIES: u64 = 100_000;

#[test]
fn each_record_is_in_one_visible_object() {
    let (seed, histories) = (environment("SIMULATION_SEED", 1), histories());
    let started = Instant::now();
    let cores = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let counts = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|worker| {
                scope.spawn(move || {
                    let mut counts = Counts::new();
                    for index in (worker..histories).step_by(cores as usize) {
                        let seed = seed.wrapping_add(index);
                        if let Err(why) = history(seed, Flaw::None, &mut counts) {
                            panic!("seed {seed}: {why}");
                        }
                    }
                    counts
                })
            })
            .collect();
        workers.into_iter().fold(Counts::new(), |mut total, worker| {
            for (name, count) in worker.join().unwrap() {
                *total.entry(name).or_default() += count;
            }
            total
        })
    });
    println!("{histories} histories in {:.1} s: {counts:?}", started.elapsed().as_secs_f64());
    if histories >= 10_000 {
        // A history in which nothing happens shows nothing.
        for name in [
            "announced again",
            "bad records",
            "breakpoints",
            "committed again",
            "crashed while announcing",
            "crashed while committing",
            "crashed while completing",
            "crashed while reading",
            "finished for another",
            "gaps",
            "lost answers",
            "objects written again",
            "projected",
            "rebalances",
            "refused",
            "rejected",
            "rotated: Bytes",
            "rotated: Forced",
            "rotated: Idle",
            "rotated: Interval",
            "rotated: Metadata",
            "rotated: OpenFiles",
            "rotated: PartitionChange",
            "rotated: Schedule",
            "rotated: Schema",
            "rotated: Size",
            "uploads that failed",
            "written by one who lost the partition",
        ] {
            assert!(counts.get(name).is_some_and(|&n| n >= 100), "too few: {name} in {counts:?}");
        }
    }
}

#[test]
fn a_plan_with_a_flaw_is_caught() {
    for flaw in [
        Flaw::NoIntent,
        Flaw::NotWaitingForTheIntent,
        Flaw::RefusalIgnored,
        Flaw::ClockForgotten,
        Flaw::EndForgotten,
        Flaw::EndOffByOne,
    ] {
        let caught =
            (0..2_000).filter(|&seed| history(seed, flaw, &mut Counts::new()).is_err()).count();
        println!("{flaw:?}: caught in {caught} of 2,000 histories");
        assert!(caught > 0, "{flaw:?} was not caught");
    }
}

/// One random history, from a seed. Says what went wrong.
fn history(seed: u64, flaw: Flaw, counts: &mut Counts) -> Result<(), String> {
    let mut random = Random::new(seed);
    let policy = Policy::random(&mut random);
    let mut world = World::new(&mut random, counts);
    let mut owner = Task::join(&mut world, &policy, flaw)?;
    let mut zombies: Vec<Task<'_>> = Vec::new();
    for _ in 0..random.between(20, 160) {
        match random.below(100) {
            0..60 => step(&mut owner, &mut world, &policy, flaw, &mut random)?,
            60..75 => world.append(&mut random),
            75..85 => world.pass_time(&mut random),
            85..88 => {
                world.count(owner.crash_name());
                world.generation += 1;
                owner = Task::join(&mut world, &policy, flaw)?;
            }
            88..91 => {
                world.count("rebalances");
                world.generation += 1;
                zombies.push(std::mem::replace(&mut owner, Task::join(&mut world, &policy, flaw)?));
            }
            _ => step_one(&mut zombies, &mut world, &mut random)?,
        }
    }

    // What has begun comes to its end.
    world.calm = true;
    world.append_all();
    for _ in 0..10_000 {
        if owner.is_done(&world) {
            break;
        }
        if random.one_in(4) {
            step_one(&mut zombies, &mut world, &mut random)?;
        }
        owner.shutting_down = owner.has_read_all(&world);
        step(&mut owner, &mut world, &policy, flaw, &mut random)?;
    }
    if !owner.is_done(&world) {
        return Err("it does not end".to_owned());
    }
    world.check()?;
    for zombie in &mut zombies {
        zombie.shutting_down = true;
        for _ in 0..1_000 {
            if !zombie.step(&mut world, &mut random)? {
                break;
            }
        }
    }
    world.check()
}

/// Lets the owner take a step, and has another one join for it if it gives up.
fn step<'p>(
    owner: &mut Task<'p>,
    world: &mut World<'_>,
    policy: &'p Policy,
    flaw: Flaw,
    random: &mut Random,
) -> Result<(), String> {
    if !owner.step(world, random)? {
        world.generation += 1;
        *owner = Task::join(world, policy, flaw)?;
    }
    Ok(())
}

/// Lets one who lost the partition take a step, until it is told.
fn step_one(
    zombies: &mut Vec<Task<'_>>,
    world: &mut World<'_>,
    random: &mut Random,
) -> Result<(), String> {
    let index = random.below(zombies.len().max(1) as u64) as usize;
    if let Some(zombie) = zombies.get_mut(index)
        && !zombie.step(world, random)?
    {
        zombies.swap_remove(index);
    }
    Ok(())
}

fn histories() -> u64 {
    environment("SIMULATION_HISTORIES", HISTORIES)
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

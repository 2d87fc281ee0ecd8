//! The planner against a cluster in memory.

#![allow(clippy::panic, clippy::unwrap_used)]

// Mirrors of other programs.
mod adoption;
// An API server's part: defaults, refusals, resource versions.
mod cluster;
// core/v1 Endpoints beside slices, and instead of them.
mod endpoints;
// Services of many clusters that become one.
mod global;
mod habits;
// World, cluster and the loop between them.
mod lab;
// What holds in all worlds.
mod laws;
// What comes along.
mod carrying;
// Two programs that write the same.
mod contest;
// Deletions in mass.
mod holds;
// What may come in.
mod import;
// What mirrors are called.
mod naming;
// Objects, as sources say them.
mod object;
// What holds in particular, as sentences.
mod mirrors;
// Silent sources.
mod silence;
// Why, in words.
mod reasons;
// Another policy while all goes on.
mod reconfigure;
// Sources that get another name.
mod renames;
// Which deletes happen, and which do not.
mod safety;
// What other versions say.
mod versions;

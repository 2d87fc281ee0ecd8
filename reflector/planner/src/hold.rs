//! Deletion hold: delays deletions that a source causes in mass.
//!
//! One [`DeletionHold`] counts what one source lost of one resource, by lists and by events
//! alike. Its unit is a source Service that is not exported, or has no endpoints, any more.
//!
//! | a deletion by | is held |
//! |---|---|
//! | a list | if more than half of the mirrors was lost within [`WINDOW`], so if it is empty |
//! | a watch event | the same, if more than [`FLOOR`] were lost by events |
//!
//! With `confirmDeletions`, every other deletion waits for another list, which is made at once.
//! Time alone releases nothing. When the hold is over the source is listed again, and what
//! that list lacks too is deleted. A Service that the source has again is not held any more.

mod reason;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proto_types::ObjectKey;

use crate::name::MirrorKey;

pub use reason::HoldReason;

/// A point in time, as the time since some start. It comes as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MonotonicTime(pub Duration);

/// Deletions within this time are counted together.
pub const WINDOW: Duration = Duration::from_mins(5);

/// Deletions by watch events that are never held: a person deletes a few Services in a row.
pub const FLOOR: usize = 5;

/// Deletions that one source caused of one resource, and those of them that are held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeletionHold {
    /// By source Service.
    losses: HashMap<ObjectKey, Loss>,
    counts: Counts,
    held: Option<Held>,
}

/// Numbers of losses, so that an event costs the same however many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    going: usize,
    held_by_list: usize,
    held_by_event: usize,
}

/// Something that a source does not have any more.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loss {
    /// Its mirror.
    local: MirrorKey,
    since: MonotonicTime,
    by: Origin,
    standing: Standing,
}

/// Kind of message by which a source loses something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    List,
    Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is deleted at once.
    Going,
    /// It is not deleted yet.
    Held,
    /// It was held, and a second list lacked it too.
    Confirmed,
}

/// The period of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    since: MonotonicTime,
    why: HoldReason,
    /// Time of the last request for another list. From then on the next list decides.
    asked: Option<MonotonicTime>,
    /// `true` if earlier deletions that were not done yet are held too.
    is_swept: bool,
}

/// Deletions of one source and resource that are held now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldDeletions {
    /// Number of source Services.
    pub n: usize,
    /// Reason of the hold.
    pub why: HoldReason,
    /// Begin.
    pub since: MonotonicTime,
}

/// A source Service with its mirror.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mirrored {
    /// The source Service.
    pub service: ObjectKey,
    /// Its mirror.
    pub local: MirrorKey,
}

/// Mirrored Services of a source after a deletion.
#[derive(Debug)]
pub struct Left<F> {
    /// Their number.
    pub n: usize,
    /// Returns whether the mirror of one that was lost still exists.
    pub exists: F,
    /// `true` if every deletion is to be confirmed.
    pub confirms: bool,
}

/// Mirrored Services of a source that a list has, and those that it lacks.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Those that it lacks.
    pub gone: &'a HashSet<Mirrored>,
    /// Number of those that it has.
    pub n_left: usize,
    /// `true` if every deletion is to be confirmed.
    pub confirms: bool,
    /// `true` if the source sent it just now. A list that is evaluated again confirms nothing.
    pub is_new: bool,
}

// A list without evidence is requested again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

impl DeletionHold {
    /// Judges a completed list. Call [`Self::clear`] before, with what the list has.
    pub fn list(&mut self, list: &Judged<'_>, now: MonotonicTime) {
        let Judged { gone, n_left, .. } = *list;
        let is_gone: HashSet<&ObjectKey> = gone.iter().map(|it| &it.service).collect();
        let is_asked = list.is_new && self.held.is_some_and(|it| it.asked.is_some());
        for (service, loss) in &mut self.losses {
            if is_asked && loss.standing == Standing::Held && is_gone.contains(service) {
                loss.standing = Standing::Confirmed;
            }
        }
        // What is going may be gone from the local cluster, and counts nevertheless.
        self.losses
            .retain(|service, it| it.standing == Standing::Going || is_gone.contains(service));
        self.held = self.held.filter(|_| !is_asked);
        self.count();
        let fresh = gone.iter();
        let fresh = fresh.filter(|it| !self.losses.contains_key(&it.service));
        let fresh: Vec<_> = fresh.cloned().collect();
        let n_lost = self.counts.going + self.counts.held() + fresh.len();
        let is_mass = is_most(n_lost, n_left);
        let standing = match is_mass || list.confirms {
            true => Standing::Held,
            false => Standing::Going,
        };
        if standing == Standing::Held && !fresh.is_empty() {
            let why = match (is_mass, n_left) {
                (false, _) => HoldReason::EveryDeletion,
                (true, 0) => HoldReason::ListEmpty,
                (true, _) => HoldReason::ListShort,
            };
            self.begin(why, now);
            // What still exists is held with the rest.
            for (service, loss) in &mut self.losses {
                if loss.standing == Standing::Going && is_gone.contains(service) {
                    loss.standing = Standing::Held;
                }
            }
        }
        let losses = fresh.into_iter().map(|it| {
            let loss = Loss {
                local: it.local,
                since: now,
                by: Origin::List,
                standing,
            };
            (it.service, loss)
        });
        self.losses.extend(losses);
        self.settle();
    }

    /// Judges a deletion by a watch event. Returns the mirrors that still exist, and whose
    /// deletion is held from now on.
    pub fn event(
        &mut self,
        lost: Mirrored,
        left: &Left<impl Fn(&ObjectKey, &MirrorKey) -> bool>,
        now: MonotonicTime,
    ) -> Vec<MirrorKey> {
        let Mirrored { service, local } = lost;
        if self.losses.contains_key(&service) {
            return Vec::new();
        }
        let loss = Loss {
            local: local.clone(),
            since: now,
            by: Origin::Event,
            standing: Standing::Going,
        };
        self.counts.going += 1;
        self.losses.insert(service.clone(), loss);
        // What a list lacks and is held is no deletion by an event.
        let n_lost = self.counts.going + self.counts.held_by_event;
        if n_lost <= FLOOR || !is_most(n_lost, left.n) {
            if !left.confirms {
                return Vec::new();
            }
            self.begin(HoldReason::EveryDeletion, now);
            self.hold_one(&service);
            return vec![local];
        }
        self.begin(HoldReason::ManyEvents, now);
        let held = self.held.as_mut();
        let is_swept = held.is_some_and(|it| std::mem::replace(&mut it.is_swept, true));
        if is_swept {
            self.hold_one(&service);
            return vec![local];
        }
        let mut held = Vec::new();
        for (service, loss) in &mut self.losses {
            if loss.standing == Standing::Going && (left.exists)(service, &loss.local) {
                loss.standing = Standing::Held;
                held.push(loss.local.clone());
            }
        }
        self.settle();
        held
    }

    /// Ends the hold of a Service that the source has again, or that has endpoints again.
    pub fn has(&mut self, service: &ObjectKey) {
        if let Some(loss) = self.losses.remove(service) {
            if let Some(count) = self.counts.of(&loss) {
                *count -= 1;
            }
            self.end_if_empty();
        }
    }

    /// Ends the hold of all Services that the source has again.
    pub fn clear(&mut self, has: impl Fn(&ObjectKey) -> bool) {
        self.losses.retain(|service, _| !has(service));
        self.settle();
    }

    /// Lets time pass. Returns whether the source is to be listed again.
    pub fn tick(&mut self, now: MonotonicTime, hold: Duration) -> bool {
        let since = |it: MonotonicTime| now.0.saturating_sub(it.0);
        self.losses
            .retain(|_, it| it.standing == Standing::Held || since(it.since) < WINDOW);
        self.settle();
        let Some(held) = &mut self.held else {
            return false;
        };
        let is_due = match held.asked {
            None if held.why == HoldReason::EveryDeletion => true,
            None => hold <= since(held.since),
            Some(asked) => hold.max(ASK_AGAIN) <= since(asked),
        };
        if is_due {
            held.asked = Some(now);
        }
        is_due
    }

    /// Returns why the mirror of a Service, or its endpoints, are not deleted yet.
    #[must_use]
    pub fn holds(&self, service: &ObjectKey) -> Option<HoldReason> {
        let loss = self.losses.get(service)?;
        let held = self.held.filter(|_| loss.standing == Standing::Held)?;
        Some(held.why)
    }

    /// Deletes a Service, as allowed by hand, although its deletion is held.
    pub fn release(&mut self, service: &ObjectKey) {
        if let Some(loss) = self.losses.get_mut(service)
            && loss.standing == Standing::Held
        {
            loss.standing = Standing::Confirmed;
            self.settle();
        }
    }

    /// Returns whether the deletion of a Service counts, held or not.
    #[must_use]
    pub fn counts(&self, service: &ObjectKey) -> bool {
        self.losses.contains_key(service)
    }

    /// Returns the Services whose deletion is held.
    pub(crate) fn held_services(&self) -> impl Iterator<Item = &ObjectKey> {
        let held = self.losses.iter();
        let held = held.filter(|(_, it)| it.standing == Standing::Held);
        held.map(|(service, _)| service)
    }

    /// Returns what is held now.
    #[must_use]
    pub fn held(&self) -> Option<HeldDeletions> {
        let held = self.held?;
        Some(HeldDeletions {
            n: self.counts.held(),
            why: held.why,
            since: held.since,
        })
    }

    /// Begins a hold. A hold of a mass deletion replaces one that waits for confirmation alone.
    fn begin(&mut self, why: HoldReason, now: MonotonicTime) {
        let is_mass = why != HoldReason::EveryDeletion;
        let stays = |it: &Held| !is_mass || it.why != HoldReason::EveryDeletion;
        self.held = self.held.filter(stays).or(Some(Held {
            since: now,
            why,
            asked: None,
            is_swept: false,
        }));
    }

    /// Holds what was lost by an event a moment ago.
    fn hold_one(&mut self, service: &ObjectKey) {
        if let Some(loss) = self.losses.get_mut(service) {
            loss.standing = Standing::Held;
            self.counts.going -= 1;
            self.counts.held_by_event += 1;
        }
    }

    /// Counts again, and ends the hold if nothing is held.
    fn settle(&mut self) {
        self.count();
        self.end_if_empty();
    }

    fn count(&mut self) {
        let mut counts = Counts::default();
        for loss in self.losses.values() {
            if let Some(count) = counts.of(loss) {
                *count += 1;
            }
        }
        self.counts = counts;
    }

    fn end_if_empty(&mut self) {
        if self.counts.held() == 0 {
            self.held = None;
        }
    }
}

impl Counts {
    const fn of(&mut self, loss: &Loss) -> Option<&mut usize> {
        match (loss.standing, loss.by) {
            (Standing::Going, _) => Some(&mut self.going),
            (Standing::Held, Origin::List) => Some(&mut self.held_by_list),
            (Standing::Held, Origin::Event) => Some(&mut self.held_by_event),
            (Standing::Confirmed, _) => None,
        }
    }

    const fn held(self) -> usize {
        self.held_by_list + self.held_by_event
    }
}

/// Returns whether more than half was lost.
const fn is_most(n_lost: usize, n_left: usize) -> bool {
    n_left < n_lost
}

#[cfg(test)]
mod tests;

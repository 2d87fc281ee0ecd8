//! Budgets of what a server may make a watcher hold.
//!
//! Bytes and objects are taken while they are read, and given back when they are no longer
//! held: the body of a page when it has been parsed, objects when a list replaces them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use proto_types::{ObjectKey, RawObject};

use super::FailureCause;

/// An amount of what watchers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Bytes, by what objects cost in memory.
    pub bytes: usize,
    /// Objects.
    pub objects: usize,
}

/// Memory limit of all watchers of one source.
#[derive(Debug)]
pub struct Budget {
    max: Amount,
    used: Mutex<Amount>,
    /// Memory limit of all sources.
    whole: Option<Arc<Self>>,
}

impl Budget {
    /// A budget of that amount, within another one if there is one.
    #[must_use]
    pub fn new(max: Amount, whole: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            max,
            used: Mutex::default(),
            whole,
        })
    }

    /// Returns the amount that is held.
    #[must_use]
    pub fn used(&self) -> Amount {
        *self.used.lock()
    }

    fn take(&self, more: Amount) -> Result<(), FailureCause> {
        let mut used = self.used.lock();
        let next = Amount {
            bytes: used.bytes.saturating_add(more.bytes),
            objects: used.objects.saturating_add(more.objects),
        };
        let which = match self.whole {
            Some(_) => "this source",
            None => "all sources together",
        };
        if self.max.bytes < next.bytes {
            let max = self.max.bytes;
            return Err(FailureCause::OverBudget(format!("{max} bytes of {which}")));
        }
        if self.max.objects < next.objects {
            let max = self.max.objects;
            return Err(FailureCause::OverBudget(format!(
                "{max} objects of {which}"
            )));
        }
        if let Some(whole) = &self.whole {
            whole.take(more)?;
        }
        *used = next;
        Ok(())
    }

    fn give_back(&self, amount: Amount) {
        let mut used = self.used.lock();
        used.bytes = used.bytes.saturating_sub(amount.bytes);
        used.objects = used.objects.saturating_sub(amount.objects);
        drop(used);
        if let Some(whole) = &self.whole {
            whole.give_back(amount);
        }
    }
}

/// A part of a budget, until it is dropped. Without a budget, nothing is counted.
#[derive(Debug, Default)]
pub(super) struct Share {
    budget: Option<Arc<Budget>>,
    amount: Amount,
}

impl Share {
    pub(super) fn of(budget: Option<&Arc<Budget>>) -> Self {
        Self {
            budget: budget.map(Arc::clone),
            amount: Amount::default(),
        }
    }

    /// Takes more, if there is so much.
    pub(super) fn take(&mut self, more: Amount) -> Result<(), FailureCause> {
        if let Some(budget) = &self.budget {
            budget.take(more)?;
            self.amount.bytes += more.bytes;
            self.amount.objects += more.objects;
        }
        Ok(())
    }

    /// Keeps what another share of the same budget took.
    fn absorb(&mut self, mut other: Self) {
        self.budget = other.budget.take();
        self.amount.bytes += other.amount.bytes;
        self.amount.objects += other.amount.objects;
    }

    fn give_back(&mut self, less: Amount) {
        if let Some(budget) = &self.budget {
            budget.give_back(less);
            self.amount.bytes = self.amount.bytes.saturating_sub(less.bytes);
            self.amount.objects = self.amount.objects.saturating_sub(less.objects);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.amount);
        }
    }
}

/// Objects that were reported and not deleted since, with the memory that they take.
#[derive(Debug, Default)]
pub(super) struct Held {
    share: Share,
    costs: HashMap<ObjectKey, usize>,
}

impl Held {
    /// Holds the objects of a list, whose share has been taken, instead of all others.
    pub(super) fn replace(&mut self, share: Share, objects: &[RawObject]) {
        // Readers without a limit need no keys.
        let costs = objects.iter().filter(|_| share.budget.is_some());
        self.costs = costs.map(|it| (it.key.clone(), it.cost())).collect();
        self.share = share;
    }

    /// Holds the objects of a list, whose share has been taken, beside all others.
    pub(super) fn add(&mut self, share: Share, objects: &[RawObject]) {
        if share.budget.is_none() {
            return;
        }
        for object in objects {
            self.remove(&object.key);
        }
        let added = objects.iter();
        self.costs
            .extend(added.map(|it| (it.key.clone(), it.cost())));
        self.share.absorb(share);
    }

    /// Holds an object instead of its former version.
    pub(super) fn apply(&mut self, object: &RawObject) -> Result<(), FailureCause> {
        if self.share.budget.is_none() {
            return Ok(());
        }
        let cost = object.cost();
        let before = self.costs.get(&object.key).copied();
        self.share.take(Amount {
            bytes: cost,
            objects: usize::from(before.is_none()),
        })?;
        self.share.give_back(Amount {
            bytes: before.unwrap_or_default(),
            objects: 0,
        });
        self.costs.insert(object.key.clone(), cost);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) {
        if let Some(bytes) = self.costs.remove(key) {
            self.share.give_back(Amount { bytes, objects: 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(bytes: usize, objects: usize) -> Amount {
        Amount { bytes, objects }
    }

    #[test]
    fn a_source_has_its_own_budget_within_that_of_all() {
        let whole = Budget::new(amount(100, 10), None);
        let one = Budget::new(amount(80, 10), Some(Arc::clone(&whole)));
        let other = Budget::new(amount(80, 10), Some(Arc::clone(&whole)));
        let mut a = Share::of(Some(&one));
        let mut b = Share::of(Some(&other));
        a.take(amount(80, 1)).unwrap();
        let why = a.take(amount(1, 0)).unwrap_err().to_string();
        assert!(why.contains("80 bytes of this source"), "{why}");
        let why = b.take(amount(21, 0)).unwrap_err().to_string();
        assert!(why.contains("100 bytes of all sources together"), "{why}");
        b.take(amount(20, 9)).unwrap();
        drop(a);
        assert_eq!((one.used(), whole.used()), (amount(0, 0), amount(20, 9)));
        b.take(amount(60, 1)).unwrap();
        assert!(b.take(amount(0, 1)).is_err());
        drop(b);
        assert_eq!(whole.used(), amount(0, 0));
    }
}
